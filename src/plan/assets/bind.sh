#!/bin/sh
# Written by passthru. Take it back with: passthru undo
#
# Gives the PCI functions named on the kernel command line to vfio-pci, before a
# graphics, sound or USB driver can take them:
#
#   passthru.bind=VENDOR:DEVICE:SUBVENDOR:SUBDEVICE@ADDRESS[,...]
#
# All or nothing: if one entry does not fit the device at its address, none is
# bound and the kernel log says why. A boot entry without the word is untouched.
#
# One text for every initramfs, each of which runs it in its own way:
#   initramfs-tools  executes scripts/init-top/00-passthru
#   dracut           sources it as a pre-udev hook
#   mkinitcpio       sources hooks/passthru (udev style), or passthru-bind.service
#                    runs it (systemd style)
# The image may hold no program but a shell (dash, busybox, klibc or bash) and
# modprobe, so everything else is a shell builtin.

# The body is a subshell: options, IFS, variables and `exit` end with it, and the
# shell that sources this file notices nothing.
passthru_bind() (
    unset IFS
    LC_ALL=C
    PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
    pci=/sys/bus/pci

    # The kernel refuses a record of more than about 1000 bytes (devkmsg_write in
    # kernel/printk/printk.c); a malformed word can be longer.
    say() {
        [ -e /dev/kmsg ] && printf '<%s>passthru: %.800s\n' "$1" "$2" >/dev/kmsg
    } 2>/dev/null

    put() {
        echo "$1" >"$2"
    } 2>/dev/null

    # Sets $value to the number in the sysfs file $1, without its 0x.
    get() {
        value=
        read -r value <"$1"
        value=${value#0x}
    } 2>/dev/null

    # Sets $driver to the name of the driver that has the device $1, if any.
    # `driver` is a symbolic link and the image may have no readlink.
    get_driver() {
        driver=
        for link in "$pci"/drivers/*/"$1"; do
            [ -e "$link" ] || continue
            driver=${link%/*}
            driver=${driver##*/}
        done
    }

    # As the kernel reads its command line: double quotes join words, a bare --
    # ends it (next_arg in lib/cmdline.c, parse_args in kernel/params.c).
    asked='' list='' quoted=''
    set -f
    while read -r line || [ -n "$line" ]; do
        for word in $line; do
            [ -n "$quoted" ] || case $word in
                --) break 2 ;;
                passthru.bind=*) asked=yes list=${word#*=} ;;
            esac
            while case $word in *\"*) ;; *) false ;; esac; do
                word=${word#*\"}
                if [ -n "$quoted" ]; then quoted=; else quoted=yes; fi
            done
        done
    done </proc/cmdline
    set +f
    [ -n "$asked" ] || exit 0

    x='[0-9a-f]'
    x4=$x$x$x$x
    addresses='' refused=''
    rest=$list,
    while [ -n "$rest" ]; do
        entry=${rest%%,*}
        rest=${rest#*,}
        ids=${entry%%@*}
        address=${entry#*@}
        # A domain can have more than four digits (Intel VMD: 10000).
        case $entry in
            $x4:$x4:$x4:$x4@$x4*:$x$x:[01]$x.[0-7]) domain=${address%:*:*} ;;
            *) domain='?' ;;
        esac
        case $domain in
            *[!0-9a-f]*)
                refused=yes
                say 4 "not vendor:device:subvendor:subdevice@address: '$entry'"
                continue
                ;;
        esac
        device=$pci/devices/$address
        if ! [ -e "$device" ]; then
            refused=yes
            say 4 "expected $ids at $address, found no device there"
            continue
        fi
        found=
        for name in vendor device subsystem_vendor subsystem_device; do
            get "$device/$name"
            found=$found:${value:-????}
        done
        if [ "$found" != ":$ids" ]; then
            refused=yes
            say 4 "expected $ids at $address, found ${found#:}"
            continue
        fi
        get_driver "$address"
        get "$device/class"
        case $value:$driver in
            06*)
                # vfio-pci refuses bridges (vfio_pci_core_register_device in
                # drivers/vfio/pci/vfio_pci_core.c), and unbinding one would cut
                # off what is behind it.
                refused=yes
                say 4 "$address is a bridge"
                ;;
            03*: | 03*:vfio-pci) ;;
            03*)
                refused=yes
                say 4 "display $address is already on $driver and is not taken away from it"
                ;;
        esac
        addresses="$addresses $address"
    done
    if [ -n "$refused" ]; then
        say 4 "nothing is bound to vfio-pci"
        exit 0
    fi

    for address in $addresses; do
        put vfio-pci "$pci/devices/$address/driver_override"
    done
    # Absent when vfio-pci is neither built in nor loaded.
    [ -d "$pci/drivers/vfio-pci" ] || modprobe vfio-pci >/dev/null 2>&1
    if ! [ -d "$pci/drivers/vfio-pci" ]; then
        # An override without its driver would leave the card with none at all,
        # for example in a boot with module_blacklist=vfio_pci. An empty line
        # clears it (Documentation/ABI/testing/sysfs-bus-pci).
        for address in $addresses; do
            put '' "$pci/devices/$address/driver_override"
        done
        say 4 "vfio-pci cannot be loaded, nothing is bound to it"
        exit 0
    fi
    for address in $addresses; do
        get_driver "$address"
        [ "$driver" = vfio-pci ] && continue
        # Only a companion gets here with a driver, one built into the kernel
        # such as xhci_hcd.
        [ -z "$driver" ] || put "$address" "$pci/drivers/$driver/unbind"
        # A driver that registered before the override was written has passed the
        # device by and is not asked again without this.
        put "$address" "$pci/drivers_probe"
    done
    for address in $addresses; do
        get_driver "$address"
        case $driver in
            vfio-pci) say 6 "$address is on vfio-pci" ;;
            '') say 4 "$address has no driver, vfio-pci did not take it" ;;
            *) say 4 "$address is on $driver, not on vfio-pci" ;;
        esac
    done
    exit 0
)

# mkinitcpio enters a hook in EARLYHOOKS, which run before any module is loaded,
# only if it defines this function (add_runscript in its `functions`). Its init
# sources the file first, which has then done the work.
run_earlyhook() { :; }

# mkinitramfs calls each script with `prereqs` to learn which scripts go before it
# (initramfs-tools(7)). None: the name sorts before `udev`.
case ${1-} in
    prereqs) echo ;;
    *) passthru_bind || : ;;
esac
