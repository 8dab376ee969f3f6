package org.moe4j.engine.kernel;

import java.lang.System.Logger.Level;
import java.util.Optional;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/**
 * Whether machine code multiplies: only with {@code -Dmoe4j.kernels=machine}, and where it can. The
 * kernels are assembled when the first model asks for them.
 */
public final class MachineChoice {
  private static final String PROPERTY = "moe4j.kernels";

  private static Optional<MachineKernels> loaded = Optional.empty();
  private static String refusal = "";

  private MachineChoice() {}

  /** Which kernels multiply 4-bit weights in this process and, if others were asked for, why. */
  public static synchronized String description() {
    if (wanted().isPresent()) {
      return "machine code (AVX-512 VNNI)";
    }
    String others =
        KernelChoice.bits() == 0 ? "no vectors" : "vectors of " + KernelChoice.bits() + " bits";
    return refusal.isEmpty() ? others : others + ", not machine code: " + refusal;
  }

  /**
   * The kernels, if the property asks for them and they can be had. If not, a warning says why once.
   *
   * @throws EngineException if the property has a value that is not known
   */
  static synchronized Optional<MachineKernels> wanted() {
    String value = System.getProperty(PROPERTY, "vector");
    return switch (value) {
      case "vector" -> Optional.empty();
      case "machine" -> {
        if (loaded.isEmpty() && refusal.isEmpty()) {
          assemble();
        }
        yield loaded;
      }
      default ->
          throw new EngineException(PROPERTY + " is " + value + ", expected vector or machine");
    };
  }

  private static void assemble() {
    try {
      loaded = Optional.of(MachineKernels.assemble());
    } catch (EngineException e) {
      refusal = e.getMessage();
      System.getLogger(MachineChoice.class.getName())
          .log(Level.WARNING, "no machine-code kernels: " + refusal);
    }
  }

  /** The format that machine code takes tensors of {@code type} in. */
  static Optional<WeightFormat> format(GgmlType type) {
    return switch (type) {
      case Q4_0 -> Optional.of(WeightFormat.Q4_0);
      case Q8_0 -> Optional.of(WeightFormat.Q8_0);
      case Q4_K -> Optional.of(WeightFormat.Q4_K);
      case Q6_K -> Optional.of(WeightFormat.Q6_K);
      default -> Optional.empty();
    };
  }
}
