package org.moe4j.train.config;

import java.io.Serial;
import java.util.Optional;
import org.moe4j.tensor.MoeException;

/** A value or key that is refused; the message does not yet say which file it came from. */
final class InvalidConfig extends MoeException {
  @Serial private static final long serialVersionUID = 1L;

  private final transient Optional<Assignment> origin;

  InvalidConfig(String message, Optional<Assignment> origin) {
    super(message);
    this.origin = origin;
  }

  /** The override at fault, or {@code file}. */
  String where(String file) {
    return origin.map(Assignment::label).orElse(file);
  }
}
