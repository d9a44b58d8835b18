#!/usr/bin/env bash
# Brings what `make interop` needs from outside: kcat, strace, a C compiler with librdkafka, Apache
# Kafka's jars, and the clients for Python, Go and Node.js; compiles the helpers in Java and Go. What
# is there is left alone. A tool that is absent and cannot be installed is named; with CI=true that
# is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=$PWD/.cache
kafka_home=${KAFKA_HOME:-$cache/kafka-4.3.1}
missing=()

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

install_debian_packages() {
  local wanted=()
  have kcat || wanted+=(kcat)
  have ip || wanted+=(iproute2)
  have strace || wanted+=(strace)
  have cc || wanted+=(gcc libc6-dev)
  [ -e /usr/include/librdkafka/rdkafka.h ] || wanted+=(librdkafka-dev)
  have javac || wanted+=(default-jdk-headless)
  if [ ! -e "$kafka_home/libs" ]; then have mvn || wanted+=(maven); fi
  [ ${#wanted[@]} -gt 0 ] || return 0
  have apt-get || return 0
  echo "Installing Debian packages: ${wanted[*]}"
  as_root apt-get update -qq </dev/null &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      "${wanted[@]}" </dev/null >"$cache/apt.log" 2>&1 || echo "apt-get failed: $(tail -n 1 "$cache/apt.log" 2>/dev/null)"
}

# Whether the file `stamp` is there and newer than the files after it.
fresh() {
  local stamp=$1 file
  shift
  for file; do [ "$stamp" -nt "$file" ] || return 1; done
}

fetch_jars() {
  [ "$kafka_home" = "$cache/kafka-4.3.1" ] || return 0
  ! fresh "$kafka_home/.made" tests/interop/pom.xml || return 0
  have mvn || return 0
  echo "Fetching Apache Kafka's jars into $kafka_home/libs"
  rm -rf "$kafka_home/libs.part"
  if mvn --batch-mode --quiet --strict-checksums --file tests/interop/pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$kafka_home/libs.part" </dev/null; then
    rm -rf "$kafka_home/libs"
    mv "$kafka_home/libs.part" "$kafka_home/libs"
    touch "$kafka_home/.made"
  fi
}

compile_java() {
  { have javac && [ -e "$kafka_home/libs" ]; } || return 0
  local classes=$cache/java-classes newest
  newest=$(ls -t tests/interop/java/*.java | head -n 1)
  [ ! -e "$classes/.made" ] || [ "$newest" -nt "$classes/.made" ] || return 0
  echo "Compiling the Java helpers"
  rm -rf "$classes"
  mkdir -p "$classes"
  javac -Werror -Xlint:all,-path,-classfile,-processing -d "$classes" -cp "$kafka_home/libs/*" tests/interop/java/*.java
  touch "$classes/.made"
}

install_python_clients() {
  local home=$cache/python-clients
  ! fresh "$home/.made" requirements/clients.txt || return 0
  echo "Installing the clients for Python"
  rm -rf "$home"
  .venv/bin/python -m venv "$home"
  "$home/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/clients.txt
  touch "$home/.made"
}

build_go_clients() {
  have go || return 0
  ! fresh "$cache/go-clients" tests/interop/go/* || return 0
  echo "Building the clients for Go"
  rm -f "$cache/go-clients"
  (cd tests/interop/go && go vet . && go build -trimpath -o "$cache/go-clients" .) ||
    echo "$(go version) does not build them"
}

install_node_clients() {
  have npm || return 0
  local home=tests/interop/node
  ! fresh "$home/node_modules/.made" "$home/package.json" "$home/package-lock.json" || return 0
  echo "Installing the clients for Node.js"
  rm -rf "$home/node_modules"
  if (cd "$home" && npm ci --no-audit --no-fund --engine-strict --loglevel=error </dev/null >/dev/null); then
    touch "$home/node_modules/.made"
  else
    echo "node $(node --version) and npm $(npm --version) do not install them"
  fi
}

mkdir -p "$cache"
install_debian_packages
fetch_jars
compile_java
install_python_clients
build_go_clients
install_node_clients

for tool in kcat ip strace cc java javac go node npm; do have "$tool" || missing+=("$tool"); done
[ -e /usr/include/librdkafka/rdkafka.h ] || missing+=("librdkafka's headers")
[ -e "$kafka_home/libs" ] || missing+=("Apache Kafka's jars in $kafka_home/libs")
[ -e "$cache/go-clients" ] || missing+=("the clients for Go")
[ -e tests/interop/node/node_modules/.made ] || missing+=("the clients for Node.js")
if [ ${#missing[@]} -gt 0 ]; then
  (IFS=,; echo "Absent here, so what needs it cannot run: ${missing[*]}" >&2)
  [ "${CI:-}" != true ] || exit 1
fi
