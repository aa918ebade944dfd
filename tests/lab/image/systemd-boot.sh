# Makes a disk $2 of the tree $1, with systemd-boot on an EFI system partition. $3: UUID of the
# root filesystem. What is mounted here is gone with this process, in a namespace of its own.
set -e
tree=$1 disk=$2 uuid=$3
start=$((1024 * 1024)) efi=$((512 * 1024 * 1024)) size=$((6 * 1024 * 1024 * 1024))

echo "root=UUID=$uuid ro console=ttyS0 mitigations=off no_timer_check quiet" >"$tree/etc/kernel/cmdline"
mkdir -p "$tree/boot/efi"
# The directory becomes a partition below; the kernel that builds may know no FAT.
export SYSTEMD_RELAX_ESP_CHECKS=1
mount -t tmpfs efi "$tree/boot/efi"
mount -t proc proc "$tree/proc"
chroot "$tree" bootctl --quiet --esp-path=/boot/efi --no-variables --make-entry-directory=yes \
    install
for kernel in "$tree"/boot/vmlinuz-*; do
    release=${kernel##*/vmlinuz-}
    chroot "$tree" kernel-install add "$release" "/boot/vmlinuz-$release" "/boot/initrd.img-$release"
done
echo 'timeout 1' >"$tree/boot/efi/loader/loader.conf"
umount "$tree/proc"
echo 'LABEL=EFI /boot/efi vfat umask=0077 0 2' >>"$tree/etc/fstab"

truncate --size=$size "$disk"
printf 'label: gpt\n%d,%d,U\n,,L\n' $((start / 512)) $((efi / 512)) | sfdisk --quiet "$disk"
mkfs.vfat -F 32 -n EFI --offset $((start / 512)) "$disk" $((efi / 1024)) >/dev/null
mcopy -Q -s -i "$disk@@$start" "$tree"/boot/efi/* ::
umount "$tree/boot/efi"
# The second table is at the end of the disk.
root=$((start + efi))
mke2fs -q -t ext4 -U "$uuid" -E offset=$root -d "$tree" "$disk" $(((size - root) / 1024 - 1024))k
