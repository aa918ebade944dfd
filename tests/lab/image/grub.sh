# Makes a disk $2 of the tree $1, with GRUB in its boot sector. $3: UUID of the root filesystem.
# What is mounted here is gone with this process, in a namespace of its own.
set -e
tree=$1 disk=$2 uuid=$3
start=$((1024 * 1024)) size=$((6 * 1024 * 1024 * 1024))

cat >"$tree/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="console=ttyS0 mitigations=off no_timer_check"
GRUB_TERMINAL=console
END
# As grub-install does on a PC; grub-install itself looks for the disk behind a mounted
# filesystem, and a loop device that stands for a partition has none.
mkdir -p "$tree/boot/grub"
cp -r "$tree/usr/lib/grub/i386-pc" "$tree/boot/grub/"
chroot "$tree" grub-editenv /boot/grub/grubenv create
chroot "$tree" grub-mkimage --format=i386-pc --prefix='(hd0,msdos1)/boot/grub' \
    --output=/boot/grub/i386-pc/core.img biosdisk part_msdos ext2

truncate --size=$size "$disk"
printf 'label: dos\n%d,,L,*\n' $((start / 512)) | sfdisk --quiet "$disk"
# boot.img loads sector 1, and the start of core.img the sectors after it.
dd if="$tree/usr/lib/grub/i386-pc/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$tree/boot/grub/i386-pc/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none
mke2fs -q -t ext4 -U "$uuid" -E offset=$start -d "$tree" "$disk" $(((size - start) / 1024))k

# 10_linux takes /dev/loop[0-9] for an image that is mounted from another filesystem, and then
# makes no entry.
for number in $(seq 10 99); do
    loop=/dev/loop$number
    [ -e "/sys/block/loop$number/loop" ] || break
done
[ -e "$loop" ] || mknod -m 660 "$loop" b 7 "$number"
mnt=$disk.mnt
mkdir "$mnt"
mount -o "loop=$loop,offset=$start" "$disk" "$mnt"
mount -t tmpfs dev "$mnt/dev"
cp -a /dev/null "$loop" "$mnt/dev/"
# An entry has the UUID of its root only where udev made this link.
mkdir -p "$mnt/dev/disk/by-uuid"
: >"$mnt/dev/disk/by-uuid/$uuid"
mount -t proc proc "$mnt/proc"
mount -t sysfs -o ro sysfs "$mnt/sys"
chroot "$mnt" update-grub
