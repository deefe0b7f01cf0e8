# syntax=docker/dockerfile:1

# One image for every role: the command says which.
#
#   docker build -t upbeat:dev .
#   docker run --rm upbeat:dev --help
#
# It holds the program, the C library that it needs, the certificates of authorities, and busybox, whose shell and tools
# are there for tasks that are commands. About 25 MB. Tasks that need more bring their own image: FROM it, or COPY
# /usr/local/bin/upbeat out of it into one with glibc.

FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -qy --no-install-recommends busybox-static ca-certificates
WORKDIR /src
COPY . .
# The caches stay with the builder, so the binary is copied out of them. Symbols go, line tables included.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin upbeat \
    && install -D --strip target/release/upbeat /image/usr/local/bin/upbeat
RUN sh deploy/image.sh /image

FROM scratch
COPY --from=build /image /
# Only the embedded broker and ledger write there: with those, mount a volume.
COPY --from=build --chown=10001:10001 /image/data /data
ENV PATH=/usr/local/bin:/bin UPBEAT_DATA=/data
WORKDIR /data
# A number, so that Kubernetes can tell that it is not root.
USER 10001:10001
EXPOSE 8321
STOPSIGNAL SIGTERM
ENTRYPOINT ["upbeat"]
CMD ["--help"]
