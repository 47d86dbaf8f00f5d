# The orchestrator's image: `fumehood` with the embedded model server.
#
#   scripts/setup orchestrator-image      builds it from wheels that the host's pip downloads (wheels/ in the context)
#   docker build -t fumehood .            does without them where containers reach a package index
#
# No BuildKit feature is used. BASE_IMAGE needs Python 3.11 or newer with the venv module.

ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS packages
# The star lets a context without wheels/ through; requirements first, so that a change of the source installs nothing anew.
COPY pyproject.toml constraints.txt wheels* /wheels/
RUN set -e; cd /wheels; \
    python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*p["dependencies"], *p["optional-dependencies"]["embedded"], sep="\n")' > requirements.txt; \
    if ls ./*.whl > /dev/null 2>&1; then \
        python3 -m venv --without-pip /opt/venv; \
        export PYTHONPATH="$(echo /wheels/pip-*.whl)" PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; \
    else \
        python3 -m venv /opt/venv; \
    fi; \
    /opt/venv/bin/python3 -m pip install --no-cache-dir --disable-pip-version-check \
        -c constraints.txt -r requirements.txt pip setuptools
COPY . /src
RUN /opt/venv/bin/python3 -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --no-index /src

FROM ${BASE_IMAGE}
LABEL fumehood.orchestrator=1
COPY --from=packages /opt/venv /opt/venv
# llama.cpp wants the OpenMP runtime; a base without it borrows the one that scikit-learn carries.
RUN ldconfig -p | grep -q libgomp.so.1 \
 || ln -s /opt/venv/lib/python3*/site-packages/scikit_learn.libs/libgomp-*.so* /usr/lib/libgomp.so.1
# /data keeps the run store and caches; weights have a volume of their own, writable by the unprivileged model server.
RUN mkdir -p /data/weights && chown 10001:10001 /data/weights
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    FUMEHOOD_HOME=/data
VOLUME /data
WORKDIR /data
ENTRYPOINT ["fumehood"]
CMD ["--help"]
