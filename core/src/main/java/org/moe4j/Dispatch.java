package org.moe4j;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.moe4j.tensor.MoeException;

/** The ways to bring tokens to experts and back. */
public enum Dispatch {
  /** Rows sorted by expert, nothing padded: the default. */
  DROPLESS,
  /** Buffers of equal size per expert. */
  BUFFERS,
  /** One-hot masks: the slow reference. */
  ONE_HOT;

  /** A dispatcher of this kind. */
  Dispatcher<?> dispatcher() {
    return switch (this) {
      case DROPLESS -> new DroplessDispatcher();
      case BUFFERS -> new BufferDispatcher();
      case ONE_HOT -> new OneHotDispatcher();
    };
  }

  /** The name in configuration files, for instance {@code one-hot}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The kind of this name.
   *
   * @throws MoeException for an unknown one
   */
  public static Dispatch named(String name) {
    for (Dispatch d : values()) {
      if (d.label().equals(name)) {
        return d;
      }
    }
    throw new MoeException(
        "unknown dispatcher \""
            + name
            + "\"; use one of "
            + Arrays.stream(values()).map(Dispatch::label).collect(Collectors.joining(", ")));
  }
}
