package org.moe4j.tensor;

import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.DeviceType;

/**
 * Where a tensor lives. CUDA is the process's current GPU. A tensor on META has a type and a shape
 * and no memory: for looking at models that are larger than the machine.
 */
public enum Device {
  CPU(DeviceType.CPU),
  CUDA(DeviceType.CUDA),
  META(DeviceType.Meta);

  private final DeviceType type;

  Device(DeviceType type) {
    this.type = type;
  }

  /** True if this process can have tensors on the device. */
  public boolean isAvailable() {
    NativeRuntime.prepare();
    return this != CUDA || torch.hasCUDA();
  }

  /**
   * Returns this device, or refuses it.
   *
   * @throws MoeException if the device cannot be used, with what to do about it
   */
  public Device require() {
    if (!isAvailable()) {
      throw new MoeException(
          "device cuda: no usable GPU (needs libtorch's CUDA build, `mvn -Pcuda`, and a driver);"
              + " use --device cpu");
    }
    return this;
  }

  org.bytedeco.pytorch.Device handle() {
    return new org.bytedeco.pytorch.Device(type);
  }

  static Device of(org.bytedeco.pytorch.Device device) {
    return device.is_cuda() ? CUDA : device.is_meta() ? META : CPU;
  }
}
