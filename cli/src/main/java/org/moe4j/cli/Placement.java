package org.moe4j.cli;

import java.nio.file.Path;
import java.util.Optional;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Device;
import org.moe4j.train.Loading;
import org.moe4j.train.config.RunSection;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Where and in what type a model computes. */
final class Placement {
  @Option(
      names = "--device",
      paramLabel = "D",
      defaultValue = "cpu",
      description = "cpu or cuda (default cpu).")
  private RunSection.Device device;

  @Option(
      names = "--dtype",
      paramLabel = "T",
      converter = Type.class,
      description =
          "fp32 or bf16, of parameters and activations (default fp32 on the cpu, bf16 on cuda).")
  private Optional<DType> dtype = Optional.empty();

  /** Reads the names of the types that models compute in. */
  static final class Type implements ITypeConverter<DType> {
    @Override
    public DType convert(String name) {
      return switch (name) {
        case "fp32", "f32" -> DType.F32;
        case "bf16" -> DType.BF16;
        default -> throw new TypeConversionException("'" + name + "' is neither fp32 nor bf16");
      };
    }
  }

  /** Refuses flags that mean nothing for a GGUF file. */
  void refuseFor(Path file) {
    if (device == RunSection.Device.CUDA || dtype.isPresent()) {
      throw new MoeException(
          file
              + ": "
              + (dtype.isPresent() ? "--dtype" : "--device")
              + " is for models in folders; a GGUF file runs on the CPU in its own types");
    }
  }

  /** Reading a model so. */
  Loading loading(LoadProgress progress) {
    Loading plain = Loading.on(device()).telling(progress);
    return dtype.map(plain::in).orElse(plain);
  }

  private Device device() {
    return device == RunSection.Device.CUDA ? Device.CUDA : Device.CPU;
  }
}
