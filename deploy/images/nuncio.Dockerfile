# The whole gateway in one container, Envoy included, for one machine:
#   docker build -f deploy/images/nuncio.Dockerfile -t nuncio .
#   docker run -p 8080:8080 -p 8443:8443 -v "$PWD/config:/config:ro" -v nuncio:/state nuncio
ARG RUST=1.95
ARG ENVOY=v1.40.0
FROM rust:${RUST}-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin nuncio \
    && install -D target/release/nuncio /out/nuncio

FROM envoyproxy/envoy:${ENVOY} AS envoy

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 8888 -g 8888 /state
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /out/nuncio /usr/local/bin/nuncio
USER 8888:8888
VOLUME /state
ENTRYPOINT ["/usr/local/bin/nuncio"]
CMD ["run", "/config", "--state", "/state", "--envoy", "/usr/local/bin/envoy"]
