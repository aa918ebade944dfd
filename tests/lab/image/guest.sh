# Puts a guest into the tree $1: kernel and initramfs. It says which functions are on its PCI buses,
# and switches off when somebody presses its power button.
set -e
cd "$1"
release=$(ls lib/modules)
guest=$(mktemp -d)
mkdir "$guest/bin" "$guest/dev" "$guest/proc" "$guest/sys"
put() {
    mkdir -p "$guest/$(dirname "$1")"
    cp -L ".$1" "$guest$1"
}
put /bin/busybox
for library in $(chroot . ldd /bin/busybox | grep -o '/[^ ]*'); do put "$library"; done
for module in $(chroot . modprobe -a -D -S "$release" button evdev | sed -n 's/^insmod //p'); do
    put "$module"
    echo "insmod $module"
done >"$guest/modules"
cat >"$guest/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec >/dev/console 2>&1
. /modules
for device in /sys/bus/pci/devices/*; do
    read -r class <"$device/class"
    read -r vendor <"$device/vendor"
    read -r id <"$device/device"
    echo "function ${device##*/} ${class#0x} ${vendor#0x}:${id#0x}"
done
echo 'every function was said'
for event in /dev/input/event*; do
    (head -c 1 "$event" >/dev/null && poweroff -f) &
done
wait
END
chmod 755 "$guest/init"
images=$PWD/var/lib/libvirt/images
mkdir -p "$images"
cp "boot/vmlinuz-$release" "$images/guest.kernel"
(cd "$guest" && find . | cpio --quiet -o -H newc -R 0:0) >"$images/guest.initramfs"
chmod 644 "$images"/guest.*
rm -r "$guest"
