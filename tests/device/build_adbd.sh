#!/bin/sh
# Builds the daemon that runs on phones, adbd, for this machine: AOSP's own source, as Debian's package
# android-platform-tools has it. The slow tests of the transport `adb` speak with it.
#
#   apt-get install adb g++ quilt libcap-dev android-libbase-dev android-libcutils-dev android-liblog-dev \
#       android-libboringssl-dev
#   sh tests/device/build_adbd.sh "$PARETONAS_ADBD"
#
# The folder gets `adbd`; what is there already is kept. 76 MB are fetched, and compiling takes a minute or two.
set -eu

folder=$(mkdir -p "${1:?give the folder to build in}" && cd "$1" && pwd)
[ -x "$folder/adbd" ] && exit 0
version=29.0.6
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
cd "$folder"

if [ ! -d "android-platform-tools-$version" ]; then
    mkdir -p lists/partial
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" > sources.list
    set -- -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$folder/lists" -o APT::Sandbox::User=root
    apt-get "$@" update
    apt-get "$@" source --download-only android-platform-tools
    tar xzf android-platform-tools_$version.orig.tar.gz
    tar xJf android-platform-tools_$version-*.debian.tar.xz -C android-platform-tools-$version
    (cd android-platform-tools-$version && QUILT_PATCHES=debian/patches quilt push -a)
fi

cd android-platform-tools-$version
adb=system/core/adb
cat > adbd_for_gcc.h <<'HEADER'
#include <android-base/thread_annotations.h>
#undef THREAD_ANNOTATION_ATTRIBUTE__
#define THREAD_ANNOTATION_ATTRIBUTE__(x)
HEADER

objects=
build() { # compiles one file; $1 is the compiler with what is particular to its language
    object=adbd-$(echo "$2" | tr / _).o
    objects="$objects $object"
    [ -f "$object" ] && return
    echo "$2"
    $1 -c -O1 -w -D_GNU_SOURCE -DADB_HOST=0 -DALLOW_ADBD_NO_AUTH=1 -DADB_VERSION="\"$version\"" -DPLATFORM_TOOLS_VERSION="\"$version\"" \
        -I/usr/include/android -I$adb -I$adb/daemon/include -I$adb/adbconnection/include -Isystem/core/base/include \
        -Isystem/core/include -Isystem/core/diagnose_usb/include -Isystem/core/libasyncio/include \
        -Isystem/core/libcrypto_utils/include -Isystem/core/libcutils/include \
        -Iframeworks/native/libs/adbd_auth/include -o "$object" "$2"
}

for file in adb adb_io adb_listeners adb_trace adb_unique_fd adb_utils fdevent/fdevent fdevent/fdevent_poll \
    fdevent/fdevent_epoll services sockets socket_spec sysdeps/errno transport transport_fd transport_local \
    transport_usb types sysdeps_unix sysdeps/posix/network daemon/auth daemon/jdwp_service daemon/usb_dummy \
    daemon/file_sync_service daemon/services daemon/shell_service daemon/main shell_service_protocol \
    adbconnection/adbconnection_server; do
    build "g++ -std=gnu++2a -fpermissive -include atomic -include optional -include adbd_for_gcc.h" $adb/$file.cpp
done
for file in system/core/diagnose_usb/diagnose_usb.cpp system/core/libasyncio/AsyncIO.cpp \
    frameworks/native/libs/adbd_auth/adbd_auth.cpp; do
    build "g++ -std=gnu++2a -fpermissive -include atomic -include optional -include adbd_for_gcc.h" $file
done
build "gcc" system/core/libcrypto_utils/android_pubkey.c

libraries=/usr/lib/$(gcc -print-multiarch)/android
g++ -o adbd.part $objects -L"$libraries" -Wl,-rpath="$libraries" -lbase -lcrypto -lcutils -llog -lcap -lresolv -lutil \
    -lpthread
mv adbd.part "$folder/adbd"
