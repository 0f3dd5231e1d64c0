# The dblog command in a container: `docker compose run --rm init dblog doctor`, for example.
FROM python:3.13-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY dblog dblog
RUN pip install --no-cache-dir --root-user-action=ignore . \
    && useradd --system dblog \
    && install --directory --owner=dblog --mode=0750 /var/lib/dblog

USER dblog
VOLUME /var/lib/dblog
WORKDIR /
ENTRYPOINT []
CMD ["dblog", "--help"]
