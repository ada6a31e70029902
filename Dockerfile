# ottenok as a server, or as its command line; the model is inside, and it needs no network:
#
#   docker build -t ottenok .
#   docker run -p 8080:8080 ottenok
#   docker run --network none --read-only ottenok classify "Какая гадость эта ваша заливная рыба!"
#   docker run --network none -v "$PWD:/data" -u "$(id -u)" ottenok classify /data/in.csv --text review -o /data/out.csv
FROM python:3.13-slim AS build
# `--build-arg EXTRAS=server,parquet` for Parquet files too (170 MB more).
ARG EXTRAS=server
WORKDIR /src
COPY pyproject.toml constraints.txt README.md README.ru.md LICENSE CHANGELOG.md ./
COPY recipes recipes
COPY src src
# Without pip in it: nothing is ever installed into the image that runs.
RUN python -m venv --without-pip /opt/ottenok \
    && pip --python /opt/ottenok/bin/python install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"

FROM python:3.13-slim AS server
COPY --from=build /opt/ottenok /opt/ottenok
ENV PATH=/opt/ottenok/bin:$PATH HF_HUB_OFFLINE=1 OTTENOK_CACHE=/tmp/ottenok PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
# A number, so that Kubernetes sees that it is not root.
USER 10001
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
ENTRYPOINT ["ottenok"]
CMD ["serve", "--host", "0.0.0.0"]
