# Build: docker build -t voice-server .   Run: docker run --env-file .env -p 8080:8080 voice-server
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY voice_server voice_server
COPY detectors detectors
COPY models models
COPY db db
RUN python -m venv /opt/voice-server \
 && /opt/voice-server/bin/pip install --no-cache-dir .
RUN VOICE_SERVER_MODELS_DIR=/opt/models /opt/voice-server/bin/voice-server models pull

FROM python:3.12-slim
RUN useradd --system --create-home --home-dir /var/lib/voice-server --uid 10001 voice
COPY --from=build /opt/voice-server /opt/voice-server
COPY --from=build /opt/models /opt/models
ENV PATH=/opt/voice-server/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VOICE_SERVER_HOST=0.0.0.0 \
    VOICE_SERVER_DATA_DIR=/var/lib/voice-server \
    VOICE_SERVER_MODELS_DIR=/opt/models
USER voice
VOLUME /var/lib/voice-server
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["voice-server", "serve"]
