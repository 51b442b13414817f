# SPDX-License-Identifier: MIT
# The server, with the agent and the mount program beside it. Built by `make image`.

FROM debian:bookworm AS build
WORKDIR /src
# What the build needs changes seldom: its own layer, before the source.
COPY tools/install-deps tools/fetch-libfuse tools/
COPY subprojects/libfuse.wrap subprojects/
RUN apt-get update && tools/install-deps build
COPY . .
RUN make build && make install DESTDIR=/out PREFIX=/usr

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libargon2-1 libcjson1 \
        libcurl4 libmicrohttpd12 libsqlite3-0 libssl3 libxxhash0 libyaml-0-2 libzstd1 tzdata \
        zlib1g $(dpkg --print-architecture | sed -n 's/^amd64$/libipsec-mb1/p') \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/kkartifact --create-home --shell /usr/sbin/nologin kkartifact
COPY --from=build /out/ /
USER kkartifact
VOLUME /var/lib/kkartifact
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/usr/bin/kkartifact-server"]
CMD ["serve", "--data", "/var/lib/kkartifact", "--listen", "0.0.0.0:8080"]
