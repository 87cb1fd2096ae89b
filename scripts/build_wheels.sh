#!/bin/sh
# Builds wheels with the compiled plugin for Mosquitto into dist/.
#
#     scripts/build_wheels.sh                  every Linux platform; on a Mac its own
#     scripts/build_wheels.sh PLATFORM...      these, for example musllinux_1_2_x86_64
#
# Linux platforms are built in the containers of the Python packaging authority, with Docker or
# Podman; another processor's need emulation (qemu-user-static).
set -eu
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    if [ "$(uname -s)" = Darwin ]; then
        set -- macosx_11_0_universal2
    else
        set -- manylinux_2_28_x86_64 manylinux_2_28_aarch64 \
            musllinux_1_2_x86_64 musllinux_1_2_aarch64
    fi
fi

container=$(command -v docker || command -v podman || true)
for platform in "$@"; do
    case $platform in
        macosx_*)
            MACOSX_DEPLOYMENT_TARGET=11.0 CC='cc -arch arm64 -arch x86_64' \
                MOORING_REQUIRE_PLUGIN=1 MOORING_WHEEL_PLATFORM=$platform \
                python3 -m pip wheel --no-deps --wheel-dir dist .
            ;;
        manylinux_* | musllinux_*)
            [ -n "$container" ] || {
                echo "Docker or Podman is needed to build for $platform." >&2
                exit 1
            }
            "$container" run --rm -v "$PWD:/src:ro" -v "$PWD/dist:/dist" \
                -e MOORING_REQUIRE_PLUGIN=1 -e "MOORING_WHEEL_PLATFORM=$platform" \
                "quay.io/pypa/$platform" sh -euc '
                    cp -r /src /tmp/src
                    /opt/python/cp312-cp312/bin/python -m pip wheel --no-deps \
                        --wheel-dir /dist /tmp/src'
            ;;
        *)
            echo "usage: scripts/build_wheels.sh [PLATFORM...]" >&2
            exit 1
            ;;
    esac
done
