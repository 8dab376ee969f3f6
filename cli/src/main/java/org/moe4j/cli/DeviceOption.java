package org.moe4j.cli;

import org.moe4j.tensor.Device;
import org.moe4j.train.config.RunSection;
import picocli.CommandLine.Option;

/** The processor or the GPU, for commands that compute with libtorch. */
final class DeviceOption {
  @Option(
      names = "--device",
      paramLabel = "D",
      defaultValue = "cpu",
      description = "cpu or cuda (default cpu).")
  private RunSection.Device device;

  /** Whether it is the GPU. */
  boolean isCuda() {
    return device == RunSection.Device.CUDA;
  }

  /** What tensors are made on. */
  Device device() {
    return isCuda() ? Device.CUDA : Device.CPU;
  }
}
