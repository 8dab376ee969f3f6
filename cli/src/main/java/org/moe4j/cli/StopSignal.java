package org.moe4j.cli;

import java.util.List;
import java.util.function.BooleanSupplier;
import org.jline.utils.Signals;

/**
 * Ctrl-C and the system's request to end, made into a question that long jobs ask. The second one
 * ends the process at once.
 */
final class StopSignal implements BooleanSupplier, AutoCloseable {
  private static final List<String> NAMES = List.of("INT", "TERM");

  private final List<Object> before;
  private volatile boolean stopped;

  StopSignal() {
    before = NAMES.stream().map(name -> Signals.register(name, this::signal)).toList();
  }

  private void signal() {
    if (stopped) {
      Runtime.getRuntime().halt(Moe.STOPPED);
    }
    stopped = true;
  }

  /** Whether the job is to end. */
  @Override
  public boolean getAsBoolean() {
    return stopped;
  }

  @Override
  public void close() {
    for (int i = 0; i < NAMES.size(); i++) {
      Signals.unregister(NAMES.get(i), before.get(i));
    }
  }
}
