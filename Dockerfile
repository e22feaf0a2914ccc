# The image: one static program from scratch, for a user that is not root. No shell, no packages, nothing to write to.
#
#   docker build -t fieldgate:0.1.0 .                                   compiled in the stage `build`
#   docker build -t fieldgate:0.1.0 --build-arg PROGRAM=prebuilt .      what hardware-tests/image has compiled
#   docker buildx build --platform linux/arm64,linux/arm/v7 .            for ARM, compiled under emulation
#
# What is tested, by `hardware-tests/test image`: the last stage on amd64, from `prebuilt`.
# Not built here so far: the stage `build`, which wants a base image from a registry, and so nothing for arm64 and armv7.

ARG PROGRAM=build

FROM scratch AS prebuilt
COPY target/image/fieldgate /fieldgate

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# The processor of the platform that is built for: x86_64, aarch64 or armv7. `image` is in .cargo/config.toml.
RUN host=$(rustc -vV | sed -n 's/^host: //p') && cargo image --target "$host" \
    && install -D "target/$host/release/fieldgate" /fieldgate

FROM ${PROGRAM} AS program

FROM scratch
COPY --from=program /fieldgate /fieldgate
# The number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/fieldgate"]
CMD ["run"]
