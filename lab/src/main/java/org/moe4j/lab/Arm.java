package org.moe4j.lab;

import java.util.Optional;

/**
 * One of the things that an experiment compares.
 *
 * @param name short, the legend of charts
 * @param what it is, in a sentence
 * @param work what it does
 * @param timeOf the arm whose time this one gets instead of its steps
 */
public record Arm(String name, String what, Workload work, Optional<String> timeOf) {
  /** An arm with as many steps as all others. */
  public static Arm of(String name, String what, Workload work) {
    return new Arm(name, what, work, Optional.empty());
  }

  /** The same with as many steps as fit into the time that {@code other} takes. */
  public Arm inTheTimeOf(String other) {
    return new Arm(name, what, work, Optional.of(other));
  }
}
