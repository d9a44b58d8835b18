# A node of Barnabas in place of the image of Apache Kafka: it takes the same KAFKA_* variables,
# CLUSTER_ID and /mnt/shared/config/server.properties. docs/operations.md, "Containers".
#
#   docker build -t barnabas .
#   docker run -p 9092:9092 -v barnabas:/var/lib/barnabas barnabas

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/barnabas
COPY requirements/run.txt requirements/
RUN /opt/barnabas/bin/pip --disable-pip-version-check --no-cache-dir install \
      --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/barnabas/bin/pip --disable-pip-version-check --no-cache-dir install \
      --no-deps --no-build-isolation . \
 && /opt/barnabas/bin/python -m compileall -q /opt/barnabas/lib

FROM python:3.13-slim
RUN useradd --system --uid 1000 --home-dir /var/lib/barnabas --create-home barnabas
COPY --from=build /opt/barnabas /opt/barnabas
ENV PATH=/opt/barnabas/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KAFKA_BARNABAS_METRICS_LISTENER=127.0.0.1:9404
USER barnabas
# Without KAFKA_LOG_DIRS the data goes to ./data.
WORKDIR /var/lib/barnabas
VOLUME /var/lib/barnabas
EXPOSE 9092
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
  CMD ["barnabas", "health", "--address", "127.0.0.1:9404"]
ENTRYPOINT ["barnabas", "start", "--env"]
