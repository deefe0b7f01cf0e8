# syntax=docker/dockerfile:1

# One image for every role: the command says which.
#
#   docker build -t upbeat:dev .
#   docker run --rm upbeat:dev --help

FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay with the builder, so the binary is copied out of them. Symbols go, line tables included.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin upbeat \
    && install -D --strip target/release/upbeat /out/upbeat \
    && install -d /out/data

FROM debian:bookworm-slim
# Whom to trust: for amqps:// and for tasks that call https://.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/upbeat /usr/local/bin/upbeat
# Only the embedded broker and ledger write there: with those, mount a volume.
COPY --from=build --chown=10001:10001 /out/data /data
ENV UPBEAT_DATA=/data
WORKDIR /data
# A number, so that Kubernetes can tell that it is not root.
USER 10001:10001
EXPOSE 8321
STOPSIGNAL SIGTERM
ENTRYPOINT ["upbeat"]
CMD ["--help"]
