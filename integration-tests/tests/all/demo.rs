//! The quickstart as a newcomer runs it: every command that is printed works.
//!
//! Its ports are replaced by free ones, the lower for cleartext.

use nuncio_integration_tests::{Files, Process, binary, envoy, free_port, workspace};
use tokio::process::Command;

#[tokio::test]
async fn the_commands_that_the_demo_prints_work_when_pasted() {
    let files = Files::new();
    let mut ports = [free_port(), free_port(), free_port()];
    ports.sort_unstable();
    for entry in workspace().join("deploy/examples/quickstart").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (old, new) in ["8080", "8443", "8090"].iter().zip(ports) {
            text = text.replace(old, &new.to_string());
        }
        files.write(path.file_name().unwrap().to_str().unwrap(), text);
    }
    let mut process = Process::start(binary(), |command| {
        command.arg("run").arg(files.objects()).arg("--state").arg(files.state());
        command.arg(format!("--demo=127.0.0.1:{}", ports[2]));
        command.args(["--admin-address", "127.0.0.1:0", "--envoy-admin", "127.0.0.1:0"]);
        command.arg("--envoy").arg(envoy());
    });
    process.line("ready").await;
    let lines = process.stdout();
    let commands: Vec<_> =
        lines.iter().filter(|line| line.starts_with("curl ") || line.starts_with("for ")).collect();
    assert!(commands.len() >= 3, "{lines:#?}");
    let mut statuses = Vec::new();
    for command in commands {
        let output = Command::new("bash").arg("-c").arg(command).output().await.unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let status = |line: &str| match line.strip_prefix("HTTP/") {
            Some(head) => head.split(' ').nth(1).map(str::to_owned),
            None => line.parse::<u16>().ok().map(|status| status.to_string()),
        };
        statuses.push(text.lines().filter_map(status).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(
        statuses,
        ["200", "200", "200 200 200 429", "403", "200", "401", "200"],
        "{}",
        process.said()
    );
}
