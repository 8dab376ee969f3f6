package org.moe4j.models.chat;

import com.sun.management.ThreadMXBean;
import java.io.Serial;
import java.lang.management.ManagementFactory;
import org.moe4j.tensor.MoeException;
import org.mozilla.javascript.Context;
import org.mozilla.javascript.ContextFactory;
import org.mozilla.javascript.RhinoException;

/**
 * Where scripts run that work on strangers' templates: they see no Java class, and a run ends when
 * it takes too many steps, too much memory or too deep a stack. All of that is a {@link
 * MoeException} of one line.
 */
final class Sandbox extends ContextFactory {
  private static final int STEPS_PER_LOOK = 10_000;
  private static final long MOST_CPU_NANOS = 30_000_000_000L;
  private static final int DEEPEST = 4_000;

  /**
   * What a run may use.
   *
   * @param steps instructions, as Rhino counts them
   * @param bytes memory taken from the heap, whether still in use or not
   */
  record Limits(long steps, long bytes) {}

  /** What runs inside. */
  @FunctionalInterface
  interface Work<T> {
    T in(Context context);
  }

  /** Not an Exception, so that no script catches it. */
  private static final class Exhausted extends Error {
    @Serial private static final long serialVersionUID = 1L;

    Exhausted(String what) {
      super(what);
    }
  }

  /** One run with what is left to it. */
  private static final class Run extends Context {
    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private Limits limits = new Limits(0, 0);
    private long bytesAtStart;
    private long nanosAtStart;
    private long steps;

    Run(ContextFactory factory) {
      super(factory);
    }

    void begin(Limits limits) {
      this.limits = limits;
      bytesAtStart = threads.getCurrentThreadAllocatedBytes();
      nanosAtStart = threads.getCurrentThreadCpuTime();
      steps = 0;
    }

    void look(int more) {
      steps += more;
      if (steps > limits.steps()
          || threads.getCurrentThreadCpuTime() - nanosAtStart > MOST_CPU_NANOS) {
        throw new Exhausted("takes too many steps; does it loop without end?");
      }
      if (threads.getCurrentThreadAllocatedBytes() - bytesAtStart > limits.bytes()) {
        throw new Exhausted("takes too much memory");
      }
    }
  }

  @Override
  protected Context makeContext() {
    Run run = new Run(this);
    run.setLanguageVersion(Context.VERSION_ES6);
    // Interpreted, so that steps are counted and no class is made at run time.
    run.setInterpretedMode(true);
    run.setInstructionObserverThreshold(STEPS_PER_LOOK);
    run.setMaximumInterpreterStackDepth(DEEPEST);
    run.setClassShutter(name -> false);
    return run;
  }

  @Override
  protected void observeInstructionCount(Context context, int steps) {
    ((Run) context).look(steps);
  }

  /**
   * Runs {@code work} in a context of its own.
   *
   * @throws MoeException with the script's message if it throws one, or if it exceeds a limit
   */
  <T> T run(Limits limits, Work<T> work) {
    Run run = (Run) enterContext();
    try {
      run.begin(limits);
      return work.in(run);
    } catch (RhinoException e) {
      throw new MoeException(message(e), e);
    } catch (Exhausted e) {
      throw new MoeException(e.getMessage(), e);
    } catch (StackOverflowError e) {
      throw new MoeException("nested too deeply", e);
    } finally {
      Context.exit();
    }
  }

  private static String message(RhinoException e) {
    String text = e.details();
    if (text.contains("stack depth")) {
      return "nested too deeply";
    }
    return text.replaceFirst("^(Syntax|Type|Range)?Error: ", "")
        .replaceFirst("^Parser Error: ", "");
  }
}
