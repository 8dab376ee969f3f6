package org.moe4j.engine;

/**
 * A failure with a message for people: what is wrong, where (file, key, tensor) and what to do, in
 * one line.
 */
public class EngineException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A failure described by {@code message} alone. */
  public EngineException(String message) {
    super(message);
  }

  /** A failure described by {@code message}, with what caused it. */
  public EngineException(String message, Throwable cause) {
    super(message, cause);
  }
}
