#!/bin/sh
# Makes sure that the tools are there: "tools.sh build" for building, "tools.sh
# test" for testing too. As root on Debian it installs what is missing;
# otherwise it says what is missing and fails.
set -eu

missing=""
need() { # command, Debian package
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need git git
need npm npm
if [ "${1:-build}" = test ]; then
	need chromium chromium
	need zbarimg zbar-tools
	need oathtool oathtool
	need apache2 apache2
	[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing="$missing libapache2-mod-auth-openidc"
	need gcc gcc
	need softhsm2-util softhsm2
	[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
	[ -x /usr/lib/postgresql/15/bin/postgres ] || command -v postgres >/dev/null 2>&1 || missing="$missing postgresql"
	fc-list 2>/dev/null | grep -qi liberation || missing="$missing fontconfig fonts-liberation"
fi

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "missing:$missing (names of Debian packages). Install them and try again." >&2
		exit 1
	fi
	echo "installing:$missing"
	apt-get update -qq
	# shellcheck disable=SC2086 # one word for each package
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
