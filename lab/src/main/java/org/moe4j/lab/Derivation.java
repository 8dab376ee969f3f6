package org.moe4j.lab;

/** Quantities that follow from several arms together; computed after all of them have run. */
@FunctionalInterface
public interface Derivation {
  /** Nothing more. */
  Derivation NONE = results -> results;

  /** The same results with further values, see {@link Results#with}. */
  Results of(Results results);
}
