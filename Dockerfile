# The wheel of llama-cpp-python is compiled once, in the first stage; the second has no compiler.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++=4:12.2.0-3 make=4.3-4.1 \
    && rm -rf /var/lib/apt/lists/*
# For any x86-64 server of the last ten years; on the machine that will run it, CMAKE_ARGS="" builds for its processor.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
# Where to take PyTorch's CPU build from; empty takes the package index's own build.
ARG TORCH_FIND_LINKS=""
ENV CMAKE_ARGS=${CMAKE_ARGS} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/quantahr
WORKDIR /src
COPY requirements.lock ./
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN /opt/quantahr/bin/pip install ${TORCH_FIND_LINKS:+--find-links "${TORCH_FIND_LINKS}"} \
        "$(grep '^torch==' requirements.lock)" \
    && /opt/quantahr/bin/pip install --requirement requirements.lock
COPY . .
RUN /opt/quantahr/bin/pip install --no-deps . \
    && /opt/quantahr/bin/python -m exporter.converter

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1=12.2.0-14+deb12u1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 quantahr \
    && install --directory --owner quantahr /srv/quantahr/var
COPY --from=build /opt/quantahr /opt/quantahr
WORKDIR /srv/quantahr
COPY config/quantahr.toml config/quantahr.toml
COPY models models
COPY samples samples
USER 10001
ENV PATH=/opt/quantahr/bin:$PATH QUANTAHR_SERVER__HOST=0.0.0.0
VOLUME /srv/quantahr/var
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
CMD ["quantahr", "serve"]
