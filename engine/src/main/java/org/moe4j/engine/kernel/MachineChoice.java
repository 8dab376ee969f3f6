package org.moe4j.engine.kernel;

import java.lang.System.Logger.Level;
import java.util.Optional;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/**
 * Whether machine code multiplies: where it can, unless {@code -Dmoe4j.kernels=vector}. With {@code
 * machine} in place of the default {@code auto}, a warning says why not. The kernels are assembled
 * when the first model asks for them.
 */
public final class MachineChoice {
  private static final String PROPERTY = "moe4j.kernels";

  private static volatile Optional<MachineKernels> loaded = Optional.empty();
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
   * The kernels, unless the property is against them or they cannot be had; a warning says so once
   * if the property asks for them.
   *
   * @throws EngineException if the property has a value that is not known
   */
  static synchronized Optional<MachineKernels> wanted() {
    String value = System.getProperty(PROPERTY, "auto");
    return switch (value) {
      case "vector" -> Optional.empty();
      case "auto", "machine" -> {
        if (loaded.isEmpty() && refusal.isEmpty()) {
          assemble(value.equals("machine") ? Level.WARNING : Level.DEBUG);
        }
        yield loaded;
      }
      default ->
          throw new EngineException(
              PROPERTY + " is " + value + ", expected auto, machine or vector");
    };
  }

  private static void assemble(Level level) {
    try {
      loaded = Optional.of(MachineKernels.assemble());
    } catch (EngineException e) {
      refusal = e.getMessage();
      System.getLogger(MachineChoice.class.getName())
          .log(level, "no machine-code kernels: " + refusal);
    }
  }

  /** Brings memory that will be read soon near the processor, where there is a way to. */
  static void fetch(long address, long bytes) {
    loaded.ifPresent(k -> k.fetch(address, bytes));
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
