# syntax=docker/dockerfile:1
# The operator's image: one JavaScript file and the Node binary on a base without shell and package manager.
#
#   docker build -t scaivault-operator:dev .
#
# A release passes both images by digest, so that what was reviewed is what is built on:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
#     --build-arg NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim@sha256:DIGEST \
#     --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:DIGEST .
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# Bundling gives the same file on every platform: it runs on the builder's own.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# No package's script runs; esbuild's binary comes as a package of its own.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json LICENSE ./
COPY scripts ./scripts
COPY src ./src
# Fails when the bundle holds code that runs text, starts processes or loads files by computed names beyond the listed.
RUN node scripts/build.ts

# The Node binary of the target platform.
FROM ${NODE_IMAGE} AS node

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="scaivault-operator" \
      org.opencontainers.image.description="Keeps AWS Secrets Manager and HashiCorp Vault in sync with ScaiVault and Kubernetes Secrets" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /src/LICENSE /src/dist/operator.mjs.LEGAL.txt /app/licenses/
COPY --from=build /src/dist/operator.mjs /app/operator.mjs
WORKDIR /app
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
USER 65532:65532
# The chart gives the same flags with its own list of files that may be read.
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=4", "--heap-growing-percent=25", "--disable-sigusr1", "--disable-proto=delete", "--permission", "--allow-fs-read=/app/*", "--allow-fs-read=/etc/scaivault-operator/*", "--allow-fs-read=/var/run/secrets/*", "/app/operator.mjs"]
CMD ["version"]
