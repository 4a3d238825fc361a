//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 2] = ["nuncio/auth/v1/policy.proto", "nuncio/ratelimit/v1/limits.proto"];
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        
        .compile_fds(descriptors)?;
    Ok(())
}
