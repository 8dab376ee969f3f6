package org.moe4j.tensor;

/**
 * A failure with a message for people: what is wrong, where (file, field, tensor) and what to do,
 * in one line. The command line prints the message alone and ends with exit status 1; everything
 * else that escapes is a defect of the toolkit.
 */
public class MoeException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A failure described by {@code message} alone. */
  public MoeException(String message) {
    super(message);
  }

  /** A failure described by {@code message}; {@code cause} is shown with {@code --debug} only. */
  public MoeException(String message, Throwable cause) {
    super(message, cause);
  }
}
