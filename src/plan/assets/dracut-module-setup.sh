#!/bin/bash
# Written by passthru. Take it back with: passthru undo
#
# Puts the modules and the early binding script into the image.

check() {
    return 0
}

depends() {
    return 0
}

installkernel() {
    # In host-only mode dracut leaves out modules that this machine does not use
    # now, and before the first boot with the card nothing uses vfio-pci.
    hostonly='' instmods vfio_pci vfio_iommu_type1
}

install() {
    # 00: before other hooks, which may load drivers. The whole stage comes before
    # udevd and before the modules named by rd.driver.pre= (dracut-pre-udev.sh).
    inst_hook pre-udev 00 "$moddir/passthru.sh"

    # In host-only mode the image also has /etc/modules-load.d and its modules, and
    # nothing orders systemd-modules-load.service after the pre-udev stage.
    local dropin=$initdir/etc/systemd/system/systemd-modules-load.service.d
    mkdir -p "$dropin"
    cat >"$dropin/passthru.conf" <<'UNIT'
# Written by passthru. Take it back with: passthru undo
[Unit]
After=dracut-pre-udev.service
UNIT
}
