# The worker and the control process; also renders Envoy's configuration. Envoy and OPA run in images of their own.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/extproc
COPY requirements/run.txt requirements/run.txt
RUN /opt/extproc/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY extproc extproc
RUN /opt/extproc/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
# A new volume takes owner and mode from the folder that it is mounted on: everything here is for this user alone.
RUN groupadd --gid 10001 extproc \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin extproc \
 && cd / && for folder in rendered var/lib/extproc var/lib/extproc/run var/lib/extproc/logs var/lib/extproc/records \
      var/lib/extproc/keys var/lib/extproc/metrics; do install -d -o extproc -g extproc -m 0700 "$folder"; done
COPY --from=build /opt/extproc /opt/extproc
ENV PATH=/opt/extproc/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["extproc"]
