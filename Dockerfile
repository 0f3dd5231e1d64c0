# The dblog command in a container: `docker compose run --rm init dblog doctor`, for example.
FROM python:3.13-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY dblog dblog
RUN pip install --no-cache-dir --root-user-action=ignore . && useradd --system dblog

USER dblog
WORKDIR /
ENTRYPOINT []
CMD ["dblog", "--help"]
