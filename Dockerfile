# The image of Fairlead: `make image` builds it (docs/kubernetes.md). TARGET chooses the packages:
# `forest` trains with scikit-learn, `boosters` with XGBoost, LightGBM and CatBoost as well, and
# `distributed` with XGBoost, Keras and Spark.
ARG BASE=python:3.12-slim

# The locked packages without Fairlead: they change seldom, so that their layer is kept.
FROM ${BASE} AS packages
# How pip reaches the index. The image itself is made of files of this stage, and knows none of it.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_PROXY
ARG PIP_DEFAULT_TIMEOUT
ARG PIP_RETRIES
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/fairlead
ARG TARGET=forest
COPY requirements/image-${TARGET}.txt requirements/sources.txt /build/
RUN python -m pip --python /opt/fairlead/bin/python install --no-deps --require-hashes \
        --only-binary :all: --progress-bar off --requirement /build/image-${TARGET}.txt \
    && if [ "${TARGET}" = distributed ]; then \
        python -m pip --python /opt/fairlead/bin/python install --no-deps --require-hashes \
            --no-binary :all: --no-build-isolation --progress-bar off --requirement /build/sources.txt; \
    fi \
    && python -m pip --python /opt/fairlead/bin/python check \
    && find /opt/fairlead -type d -name tests -prune -exec rm -rf {} +

# Fairlead alone, in folders as those of the packages, with the list of all that is installed.
FROM packages AS fairlead
RUN python -m venv --without-pip /build/tools
COPY requirements/image-tools.txt /build/
RUN python -m pip --python /build/tools/bin/python install --no-deps --require-hashes \
        --only-binary :all: --progress-bar off --requirement /build/image-tools.txt
COPY LICENSE README.md pyproject.toml /build/project/
COPY examples /build/project/examples
COPY src /build/project/src
RUN cd /build/project \
    && /build/tools/bin/python -c 'from flit_core.buildapi import build_wheel; build_wheel("/build")' \
    && python -m pip --python /opt/fairlead/bin/python install --no-deps --no-index \
        --prefix /build/installed /build/fairlead-*.whl \
    && cp -a /build/installed/. /opt/fairlead/ \
    && python -m pip --python /opt/fairlead/bin/python check \
    && mkdir -p /build/installed/share/fairlead \
    && /build/tools/bin/cyclonedx-py environment /opt/fairlead/bin/python --pyproject pyproject.toml \
        --output-reproducible --output-format JSON \
        --output-file /build/installed/share/fairlead/sbom.cdx.json

FROM ${BASE}
ARG TARGET=forest
# LightGBM needs the system's OpenMP, Spark a Java. Python's own modules are compiled, for nothing can be written
# later, and pip would have nowhere to install to.
RUN case "${TARGET}" in \
        boosters) needed=libgomp1 ;; \
        distributed) needed="default-jre-headless libgomp1" ;; \
        *) needed="" ;; \
    esac \
    && if [ -n "${needed}" ]; then \
        apt-get update && apt-get install --yes --no-install-recommends ${needed} \
        && apt-get clean && rm -rf /var/lib/apt/lists/*; \
    fi \
    && library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && python -m compileall -q -j 0 -x '/(test|tests|lib2to3|site-packages|dist-packages)/' "${library}" \
    && cd "$(python -c 'import pathlib, pip; print(pathlib.Path(pip.__file__).parents[1])')" \
    && rm -rf pip pip-* setuptools* pkg_resources _distutils_hack distutils-precedence.pth wheel* \
        "$(command -v pip)"* \
    && groupadd --gid 10001 fairlead \
    && useradd --uid 10001 --gid fairlead --no-create-home --home-dir /var/lib/fairlead \
        --shell /usr/sbin/nologin fairlead \
    && install --directory --owner fairlead --group fairlead /var/lib/fairlead /var/lib/fairlead-artifacts
LABEL org.opencontainers.image.title="Fairlead" \
    org.opencontainers.image.description="One YAML file takes a model from data to a served endpoint." \
    org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/fairlead/bin:${PATH} \
    FAIRLEAD_HOME=/var/lib/fairlead \
    HOME=/var/lib/fairlead \
    TMPDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/fairlead
USER 10001:10001
ENTRYPOINT ["fairlead"]
CMD ["--help"]
COPY --from=packages /opt/fairlead /opt/fairlead
COPY --from=fairlead /build/installed /opt/fairlead
