# Makes the tree $1 a host with the root filesystem $2.
set -e
cd "$1"
echo 'lab' >etc/hostname
echo '5a5e1f0a000040008000000000000002' >etc/machine-id
echo "UUID=$2 / ext4 defaults 0 1" >etc/fstab
cat >etc/systemd/network/lab.network <<'END'
[Match]
Driver=virtio_net
[Network]
Address=10.0.2.15/24
END
# QEMU hands over the key, which is one of the run and not of the image.
cat >etc/ssh/sshd_config.d/lab.conf <<'END'
PermitRootLogin prohibit-password
AuthorizedKeysFile /sys/firmware/qemu_fw_cfg/by_name/opt/lab.key/raw
UsePAM no
UseDNS no
END
chroot . ssh-keygen -q -A
chroot . systemctl --quiet enable systemd-networkd
# What would only take time under emulation.
chroot . systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service \
    serial-getty@ttyS0.service systemd-networkd-wait-online.service

# The first boot needs the disk; later images are for the devices that the host then has.
if [ -e usr/sbin/update-initramfs ]; then
    cp -a etc/initramfs-tools/modules run/modules
    printf '%s\n' virtio_pci virtio_blk ext4 >>etc/initramfs-tools/modules
    chroot . update-initramfs -u -k all
    mv run/modules etc/initramfs-tools/modules
    # Emulation makes packing the image the longest part of building it.
    printf '%s\n' MODULES=dep COMPRESSLEVEL=1 >etc/initramfs-tools/conf.d/lab
else
    echo 'compress="zstd -1"' >etc/dracut.conf.d/lab.conf
fi
rm -f etc/initramfs-tools/conf.d/zz-build etc/dracut.conf.d/zz-build.conf
rmdir --ignore-fail-on-non-empty -p etc/initramfs-tools/conf.d etc/dracut.conf.d
rm -rf tmp/* run/* var/cache/apt/*.bin
