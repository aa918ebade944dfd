# Before the packages of the tree $1 are configured: the image that they build is small and quick
# to build. With MODULES=dep or in hostonly mode it would be for the machine that builds it.
set -e
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/dracut.conf.d"
echo 'MODULES=list' >"$1/etc/initramfs-tools/conf.d/zz-build"
cat >"$1/etc/dracut.conf.d/zz-build.conf" <<'END'
hostonly=no
drivers=" virtio_pci virtio_blk ext4 "
compress=lz4
END
