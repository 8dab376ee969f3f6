package org.moe4j.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import org.moe4j.models.Decoder;
import org.moe4j.models.Reading;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Greedy decoding with a cache, one sequence.
 *
 * <p>Arguments: {@code F32} or {@code BF16}, threads, a checkpoint's folder. Then each line {@code
 * PROMPT TOKENS} on standard input is answered by one: milliseconds of reading a random prompt of so
 * many tokens, then the median milliseconds of a token after it, of so many. So a driver can let it
 * take turns with a peer.
 */
public final class DecodeModel {
  private DecodeModel() {}

  private static String run(Decoder model, int prompt, int tokens, Random random) {
    double[] ms = new double[tokens];
    double reading;
    long vocab = model.config().vocab();
    try (Reading text = model.reading(1, prompt + tokens)) {
      long[] ids = random.longs(prompt, 0, vocab).toArray();
      long begin = System.nanoTime();
      long next = best(text, ids);
      reading = (System.nanoTime() - begin) / 1e6;
      for (int i = 0; i < tokens; i++) {
        begin = System.nanoTime();
        next = best(text, next);
        ms[i] = (System.nanoTime() - begin) / 1e6;
      }
    }
    Arrays.sort(ms);
    return String.format(Locale.ROOT, "%.3f %.3f", reading, ms[tokens / 2]);
  }

  private static long best(Reading text, long... ids) {
    try (Scope scope = Scope.open()) {
      return (long) text.next(Tensor.of(ids, 1, ids.length)).argmax(-1, false).item();
    }
  }

  /** Measures; see above. */
  public static void main(String[] args) throws IOException {
    Ops.threads(Integer.parseInt(args[1]));
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Random random = new Random(1);
    DType type = DType.valueOf(args[0]);
    try (NoGrad off = NoGrad.open();
        Decoder loaded = HfCheckpoint.load(Path.of(args[2]), Device.CPU, type).model()) {
      Decoder model = loaded.withPrecision(type);
      String cold = run(model, 16, 1, random);
      run(model, 16, 40, random);
      System.out.println("ready " + cold);
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] words = line.strip().split(" ", -1);
        System.out.println(
            run(model, Integer.parseInt(words[0]), Integer.parseInt(words[1]), random));
      }
    }
  }
}
