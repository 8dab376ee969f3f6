package org.moe4j.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import org.moe4j.BalancedAssignment;

/**
 * Solves one balanced assignment and prints the solving thread's processor time of the first call,
 * the median of all calls, and the sum it found, as JSON. Called by {@code
 * bench/scripts/compare_assignment.sh}.
 */
public final class AssignmentTime {
  private AssignmentTime() {}

  /**
   * Runs it.
   *
   * @param args file with the scores as little-endian doubles row by row, tokens, experts, calls
   */
  public static void main(String[] args) throws IOException {
    int tokens = Integer.parseInt(args[1]);
    int experts = Integer.parseInt(args[2]);
    double[] seconds = new double[Integer.parseInt(args[3])];
    double[] scores = new double[tokens * experts];
    ByteBuffer.wrap(Files.readAllBytes(Path.of(args[0])))
        .order(ByteOrder.LITTLE_ENDIAN)
        .asDoubleBuffer()
        .get(scores);
    ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    double sum = 0;
    for (int i = 0; i < seconds.length; i++) {
      long begin = clock.getCurrentThreadCpuTime();
      int[] chosen = BalancedAssignment.solve(scores, tokens, experts).experts();
      seconds[i] = (clock.getCurrentThreadCpuTime() - begin) * 1e-9;
      sum = 0;
      for (int t = 0; t < tokens; t++) {
        sum += scores[t * experts + chosen[t]];
      }
    }
    double first = seconds[0];
    Arrays.sort(seconds);
    System.out.printf(
        Locale.ROOT,
        "{\"first\": %.6f, \"median\": %.6f, \"sum\": %.9f}%n",
        first,
        seconds[seconds.length / 2],
        sum);
  }
}
