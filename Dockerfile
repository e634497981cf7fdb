# The server as an image: built on Debian, run on the same Debian without a compiler.
#   docker build -t stipend .
#   docker run -p 127.0.0.1:8080:8080 -e STIPEND_ISSUER=http://localhost:8080 -v stipend:/data stipend
# docker-compose.yml has the whole setting, on PostgreSQL.

FROM rust:1.95.0-slim-trixie AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The distribution's OpenSSL, so that its security updates reach the image.
ENV OPENSSL_NO_VENDOR=1
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package stipend --bin stipend \
    && cp target/release/stipend /usr/local/bin/stipend

FROM debian:13.2-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3t64 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 stipend \
    && useradd --system --uid 10001 --gid stipend --no-create-home --shell /usr/sbin/nologin stipend \
    && install -d -o stipend -g stipend -m 700 /data
COPY --from=build /usr/local/bin/stipend /usr/local/bin/stipend
USER 10001:10001
WORKDIR /data
VOLUME /data
# No secret has a default: with SQLite the key that seals is made in /data at the first start.
ENV STIPEND_LISTEN=0.0.0.0:8080 \
    STIPEND_DATABASE_URL=sqlite:///data/stipend.db
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["stipend", "healthcheck"]
ENTRYPOINT ["stipend"]
CMD ["serve"]
