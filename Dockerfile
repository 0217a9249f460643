# One image for API and worker: it serves the API; `dramatiq jobplatform.worker` as its command makes it a worker.
ARG PYTHON=python:3.13.13-slim-trixie

FROM ${PYTHON} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/venv

# Only what runs, by its hashes; the build tools stay behind in this stage.
COPY requirements.runtime.lock requirements.build.lock ./
RUN pip --python /opt/venv/bin/python install --require-hashes -r requirements.runtime.lock \
    && pip install --require-hashes -r requirements.build.lock

COPY pyproject.toml README.md ./
COPY platform/ platform/
COPY actors/ actors/
COPY api/ api/
COPY docs/problems.md docs/
COPY seeds/ seeds/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/venv/bin/python install --no-deps --no-index /wheels/*.whl


FROM ${PYTHON}
RUN groupadd --gid 1000 app \
    && useradd --uid 1000 --gid app --home-dir /app --no-create-home --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /app/output
COPY deploy/entrypoint.sh /usr/local/bin/entrypoint
COPY deploy/worker-health.py /usr/local/bin/worker-health
COPY --from=builder /opt/venv /opt/venv

# The code is in the virtual environment. No sources here: Python would take them before the installed ones.
WORKDIR /app
COPY gunicorn.conf.py ./

# HOME: whoever the entrypoint becomes has none of their own, and root's cannot be entered.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=3000 \
    OUTPUT_DIR=/app/output
USER app
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=2)"]
ENTRYPOINT ["entrypoint"]
CMD ["gunicorn"]
