package org.moe4j.cli;

import java.nio.file.Path;
import java.util.Optional;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.Loading;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Where and in what type a model computes. */
final class Placement {
  @Mixin private DeviceOption device;

  @Option(
      names = "--dtype",
      paramLabel = "T",
      converter = Type.class,
      description =
          "fp32 or bf16, of parameters and activations (default fp32 on the cpu, bf16 on cuda).")
  private Optional<TypeName> dtype = Optional.empty();

  /**
   * The name of a type that models compute in. The type itself comes with libtorch's classes, which
   * a command line that needs none of them does not load.
   *
   * @param whole fp32, else bf16
   */
  record TypeName(boolean whole) {
    DType type() {
      return whole ? DType.F32 : DType.BF16;
    }
  }

  /** Reads such a name. */
  static final class Type implements ITypeConverter<TypeName> {
    @Override
    public TypeName convert(String name) {
      return switch (name) {
        case "fp32", "f32" -> new TypeName(true);
        case "bf16" -> new TypeName(false);
        default -> throw new TypeConversionException("'" + name + "' is neither fp32 nor bf16");
      };
    }
  }

  /** Refuses flags that mean nothing for a GGUF file. */
  void refuseFor(Path file) {
    if (device.isCuda() || dtype.isPresent()) {
      throw new MoeException(
          file
              + ": "
              + (dtype.isPresent() ? "--dtype" : "--device")
              + " is for models in folders; a GGUF file runs on the CPU in its own types");
    }
  }

  /** Reading a model so. */
  Loading loading(LoadProgress progress) {
    Loading plain = Loading.on(device.device()).telling(progress);
    return dtype.map(TypeName::type).map(plain::in).orElse(plain);
  }
}
