package org.moe4j.engine;

/**
 * Checks of numbers. A class of its own: were it part of {@link Sampling}, the classes inside that
 * one would wait for its constants, which are made of theirs.
 */
final class Range {
  private Range() {}

  static void check(boolean fits, String name, Number value, String expected) {
    if (!fits) {
      throw new EngineException(name + " is " + value + ", expected " + expected);
    }
  }
}
