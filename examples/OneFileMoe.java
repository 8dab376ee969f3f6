import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * A Mixture-of-Experts language model in one file, without any library: every derivative is written
 * out. It reads text character by character, predicts the next one from the {@value #CONTEXT} before
 * it, and in the end prints what its experts have learned.
 *
 * <pre>java OneFileMoe.java [TEXT]</pre>
 *
 * <p>The model: the last characters' embeddings, one behind the other, go through a linear layer to
 * the hidden state x [d]. The sparse layer adds to it what k of E small networks make of it. A
 * linear layer gives the logits of the next character.
 *
 * <p>Letters: T tokens, d width, h width inside an expert, E experts, k choices, V characters.
 */
final class OneFileMoe {
  static final int CONTEXT = 8;
  private static final int EMBEDDING = 16;
  private static final int WIDTH = 48;
  private static final int HIDDEN = 64;
  private static final int EXPERTS = 8;
  private static final int CHOICES = 2;
  private static final int BATCH = 256;
  private static final int STEPS = 1000;
  private static final double BALANCE = 0.01;
  private static final double LEARNING_RATE = 4e-3;

  /** Weights, their gradient, and Adam's two running means. */
  static final class Weights {
    final double[] value;
    final double[] gradient;
    private final double[] mean;
    private final double[] square;

    Weights(int size, double deviation, SplittableRandom random) {
      value = new double[size];
      gradient = new double[size];
      mean = new double[size];
      square = new double[size];
      Arrays.setAll(value, i -> deviation * random.nextGaussian());
    }

    /** Adam (Kingma and Ba, 2015), update number {@code t}; the gradient is then zero. */
    void update(double rate, int t) {
      double first = 1 - Math.pow(0.9, t);
      double second = 1 - Math.pow(0.98, t);
      for (int i = 0; i < value.length; i++) {
        mean[i] = 0.9 * mean[i] + 0.1 * gradient[i];
        square[i] = 0.98 * square[i] + 0.02 * gradient[i] * gradient[i];
        value[i] -= rate * (mean[i] / first) / (Math.sqrt(square[i] / second) + 1e-9);
        gradient[i] = 0;
      }
    }
  }

  /**
   * The sparse layer: softmax over all experts, the k largest probabilities as they are, ReLU
   * networks without biases, and Switch's balance loss E sum_e f_e P_e, where f_e is the share of
   * first choices that went to expert e and P_e its mean probability.
   */
  static final class MoeLayer {
    final int width;
    final int hidden;
    final int experts;
    final int choices;
    final double balanceWeight;

    /** The router's weights [E, d]. */
    final Weights router;

    /** Each expert's first [h, d] and second matrix [d, h]. */
    final Weights[] up;

    final Weights[] down;

    // What backward needs of the last forward.
    private double[][] x = new double[0][];
    private double[][] probability = new double[0][];
    private int[][] chosen = new int[0][];
    private double[][][] inside = new double[0][][];
    private double[][][] given = new double[0][][];
    private double[] firstShare = new double[0];

    MoeLayer(int width, int hidden, int experts, int choices, double balance, long seed) {
      SplittableRandom random = new SplittableRandom(seed);
      this.width = width;
      this.hidden = hidden;
      this.experts = experts;
      this.choices = choices;
      this.balanceWeight = balance;
      router = new Weights(experts * width, 0.1 / Math.sqrt(width), random);
      up = new Weights[experts];
      down = new Weights[experts];
      for (int e = 0; e < experts; e++) {
        up[e] = new Weights(hidden * width, Math.sqrt(2.0 / width), random);
        down[e] = new Weights(width * hidden, 1 / Math.sqrt(hidden), random);
      }
    }

    /** Returns y [T, d] of tokens [T, d]: the sum of what the chosen experts give, weighed. */
    double[][] forward(double[][] tokens) {
      int n = tokens.length;
      x = tokens;
      probability = new double[n][];
      chosen = new int[n][];
      inside = new double[n][choices][];
      given = new double[n][choices][];
      firstShare = new double[experts];
      double[][] y = new double[n][width];
      for (int t = 0; t < n; t++) {
        double[] p = softmax(product(router.value, x[t], experts));
        probability[t] = p;
        chosen[t] = largest(p, choices);
        firstShare[chosen[t][0]] += 1.0 / n;
        for (int c = 0; c < choices; c++) {
          int e = chosen[t][c];
          double[] a = product(up[e].value, x[t], hidden);
          for (int i = 0; i < hidden; i++) {
            a[i] = Math.max(0, a[i]);
          }
          inside[t][c] = a;
          given[t][c] = product(down[e].value, a, width);
          addTo(y[t], given[t][c], p[e]);
        }
      }
      return y;
    }

    /** The balance loss of the last forward, weighed. */
    double balance() {
      double sum = 0;
      for (double[] p : probability) {
        for (int e = 0; e < experts; e++) {
          sum += firstShare[e] * p[e];
        }
      }
      return balanceWeight * experts * sum / probability.length;
    }

    /** Adds to the gradients of all weights; {@code dy} [T, d]. Returns the gradient of x [T, d]. */
    double[][] backward(double[][] dy) {
      int n = dy.length;
      double[][] dx = new double[n][width];
      for (int t = 0; t < n; t++) {
        double[] dp = new double[experts];
        for (int e = 0; e < experts; e++) {
          // The shares f are counts: they have no gradient.
          dp[e] = balanceWeight * experts * firstShare[e] / n;
        }
        for (int c = 0; c < choices; c++) {
          int e = chosen[t][c];
          double p = probability[t][e];
          dp[e] += dot(dy[t], given[t][c]);
          double[] scaled = new double[width];
          addTo(scaled, dy[t], p);
          double[] da = backThrough(down[e], scaled, inside[t][c]);
          for (int i = 0; i < hidden; i++) {
            da[i] = inside[t][c][i] > 0 ? da[i] : 0;
          }
          addTo(dx[t], backThrough(up[e], da, x[t]), 1);
        }
        // Of the softmax: dz_e = p_e (dp_e - sum_j p_j dp_j).
        double mean = dot(probability[t], dp);
        double[] dz = new double[experts];
        for (int e = 0; e < experts; e++) {
          dz[e] = probability[t][e] * (dp[e] - mean);
        }
        addTo(dx[t], backThrough(router, dz, x[t]), 1);
      }
      return dx;
    }

    /** The experts of each token of the last forward, the likeliest first [T, k]. */
    int[][] chosen() {
      return chosen;
    }

    List<Weights> weights() {
      List<Weights> all = new ArrayList<>(List.of(router));
      all.addAll(List.of(up));
      all.addAll(List.of(down));
      return all;
    }
  }

  // ---- small vectors ----

  /** W v of a matrix [rows, v.length]. */
  static double[] product(double[] matrix, double[] v, int rows) {
    double[] out = new double[rows];
    for (int r = 0; r < rows; r++) {
      double sum = 0;
      for (int c = 0, at = r * v.length; c < v.length; c++, at++) {
        sum += matrix[at] * v[c];
      }
      out[r] = sum;
    }
    return out;
  }

  /** For y = W v: adds dy v^T to the gradient of W, and returns W^T dy. */
  static double[] backThrough(Weights w, double[] dy, double[] v) {
    double[] dv = new double[v.length];
    for (int r = 0; r < dy.length; r++) {
      double g = dy[r];
      if (g == 0) {
        continue;
      }
      for (int c = 0, at = r * v.length; c < v.length; c++, at++) {
        dv[c] += w.value[at] * g;
        w.gradient[at] += v[c] * g;
      }
    }
    return dv;
  }

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  static void addTo(double[] to, double[] what, double factor) {
    for (int i = 0; i < to.length; i++) {
      to[i] += factor * what[i];
    }
  }

  static double[] softmax(double[] logits) {
    double max = Arrays.stream(logits).max().orElse(0);
    double[] p = new double[logits.length];
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] = Math.exp(logits[i] - max);
      sum += p[i];
    }
    for (int i = 0; i < p.length; i++) {
      p[i] /= sum;
    }
    return p;
  }

  /** The indices of the k largest, the largest first. */
  static int[] largest(double[] values, int k) {
    return IntStream.range(0, values.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -values[i]))
        .limit(k)
        .mapToInt(i -> i)
        .toArray();
  }

  // ---- the language model ----

  private final String alphabet;
  private final int[] text;
  private final Weights embedding;
  private final Weights input;
  private final Weights output;
  private final MoeLayer moe;

  private OneFileMoe(String text) {
    alphabet =
        text.chars()
            .distinct()
            .sorted()
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
            .toString();
    this.text = text.chars().map(alphabet::indexOf).toArray();
    SplittableRandom random = new SplittableRandom(1);
    int v = alphabet.length();
    int seen = CONTEXT * EMBEDDING;
    embedding = new Weights(v * EMBEDDING, 1, random);
    input = new Weights(WIDTH * seen, 1 / Math.sqrt(seen), random);
    output = new Weights(v * WIDTH, 0.5 / Math.sqrt(WIDTH), random);
    moe = new MoeLayer(WIDTH, HIDDEN, EXPERTS, CHOICES, BALANCE, 2);
  }

  /** The embeddings of the characters before {@code position}, one behind the other. */
  private double[] context(int position) {
    double[] c = new double[CONTEXT * EMBEDDING];
    for (int i = 0; i < CONTEXT; i++) {
      int id = text[position - CONTEXT + i];
      System.arraycopy(embedding.value, id * EMBEDDING, c, i * EMBEDDING, EMBEDDING);
    }
    return c;
  }

  /** The mean loss in nats at these positions; with {@code learn}, gradients are added. */
  private double pass(int[] positions, boolean learn) {
    int n = positions.length;
    double[][] seen = new double[n][];
    double[][] x = new double[n][];
    for (int t = 0; t < n; t++) {
      seen[t] = context(positions[t]);
      x[t] = product(input.value, seen[t], WIDTH);
    }
    double[][] y = moe.forward(x);
    double loss = 0;
    double[][] dy = new double[n][];
    for (int t = 0; t < n; t++) {
      addTo(y[t], x[t], 1);
      double[] p = softmax(product(output.value, y[t], alphabet.length()));
      int next = text[positions[t]];
      loss -= Math.log(p[next]) / n;
      if (learn) {
        // Of cross-entropy behind a softmax: probability less the truth.
        p[next] -= 1;
        for (int i = 0; i < p.length; i++) {
          p[i] /= n;
        }
        dy[t] = backThrough(output, p, y[t]);
      }
    }
    if (learn) {
      double[][] dx = moe.backward(dy);
      for (int t = 0; t < n; t++) {
        addTo(dx[t], dy[t], 1);
        double[] dc = backThrough(input, dx[t], seen[t]);
        for (int i = 0; i < CONTEXT; i++) {
          int id = text[positions[t] - CONTEXT + i];
          for (int j = 0; j < EMBEDDING; j++) {
            embedding.gradient[id * EMBEDDING + j] += dc[i * EMBEDDING + j];
          }
        }
      }
    }
    return loss;
  }

  private void train(int steps) {
    List<Weights> all = new ArrayList<>(List.of(embedding, input, output));
    all.addAll(moe.weights());
    SplittableRandom random = new SplittableRandom(3);
    int held = text.length / 20;
    int[] test = random.ints(1024, text.length - held, text.length).toArray();
    long[] load = new long[EXPERTS];
    for (int step = 1; step <= steps; step++) {
      int[] positions = random.ints(BATCH, CONTEXT, text.length - held).toArray();
      double loss = pass(positions, true);
      Arrays.stream(moe.chosen()).flatMapToInt(Arrays::stream).forEach(e -> load[e]++);
      double rate = LEARNING_RATE * Math.min(1, step / 50.0) * (1 - 0.9 * step / steps);
      for (Weights w : all) {
        w.update(rate, step);
      }
      if (step % (steps / 10) == 0) {
        long most = Arrays.stream(load).max().orElse(0);
        double mean = Arrays.stream(load).average().orElse(1);
        Arrays.fill(load, 0);
        System.out.printf(
            Locale.ROOT,
            "step %5d  training %.3f bits per character, unseen text %.3f, load max/mean %.2f%n",
            step,
            loss / Math.log(2),
            pass(test, false) / Math.log(2),
            most / mean);
      }
    }
  }

  /** For each expert: its load, and the endings of text it is chosen for most above average. */
  private void describe() {
    SplittableRandom random = new SplittableRandom(4);
    int[] positions = random.ints(20_000, CONTEXT, text.length).toArray();
    pass(positions, false);
    int[][] chosen = moe.chosen();
    Map<String, double[]> counts = new HashMap<>();
    double[] load = new double[EXPERTS];
    for (int t = 0; t < positions.length; t++) {
      int first = chosen[t][0];
      load[first]++;
      StringBuilder ending = new StringBuilder();
      for (int i = 3; i >= 1; i--) {
        ending.append(alphabet.charAt(text[positions[t] - i]));
      }
      counts.computeIfAbsent(ending.toString(), s -> new double[EXPERTS])[first]++;
    }
    System.out.println("\nWhat the experts read last, where they are the first choice:");
    for (int expert = 0; expert < EXPERTS; expert++) {
      int e = expert;
      List<String> endings =
          counts.entrySet().stream()
              .filter(c -> c.getValue()[e] >= 10)
              .sorted(
                  Comparator.comparingDouble(
                      (Map.Entry<String, double[]> c) -> {
                        double[] own = c.getValue();
                        return -own[e] * Math.log(own[e] / Arrays.stream(own).sum() / load[e]);
                      }))
              .limit(9)
              .map(c -> '"' + c.getKey().replace("\n", "\\n") + '"')
              .toList();
      System.out.printf(
          Locale.ROOT,
          "expert %d  %4.1f %%  %s%n",
          e,
          100 * load[e] / positions.length,
          String.join(" ", endings));
    }
  }

  /** Continues {@code prompt}, which is at least as long as the context. */
  private String continued(String prompt, int characters) {
    SplittableRandom random = new SplittableRandom(5);
    StringBuilder all = new StringBuilder(prompt);
    for (int i = 0; i < characters; i++) {
      double[] c = new double[CONTEXT * EMBEDDING];
      for (int j = 0; j < CONTEXT; j++) {
        int id = Math.max(0, alphabet.indexOf(all.charAt(all.length() - CONTEXT + j)));
        System.arraycopy(embedding.value, id * EMBEDDING, c, j * EMBEDDING, EMBEDDING);
      }
      double[] x = product(input.value, c, WIDTH);
      double[] y = moe.forward(new double[][] {x})[0];
      addTo(y, x, 1);
      double[] logits = product(output.value, y, alphabet.length());
      for (int v = 0; v < logits.length; v++) {
        logits[v] /= 0.6;
      }
      double[] p = softmax(logits);
      double left = random.nextDouble();
      int id = 0;
      while (id < p.length - 1 && (left -= p[id]) > 0) {
        id++;
      }
      all.append(alphabet.charAt(id));
    }
    return all.toString();
  }

  /** The text of a file, or sentences of four small worlds that are told apart by their words. */
  private static String text(String[] args) throws java.io.IOException {
    if (args.length > 0) {
      return Files.readString(Path.of(args[0]));
    }
    String[][] worlds = {
      {"the %s swims in the %s. ", "fish eel seal whale otter", "sea lake river pond bay"},
      {"add %s to %s, then stir. ", "salt milk flour sugar pepper", "soup dough rice batter tea"},
      {"%s = %s + 1; ", "x y sum total index", "a b left right count"},
      {"le %s est dans la %s. ", "chat livre pain vin roi", "maison rue ville mer tour"},
    };
    SplittableRandom random = new SplittableRandom(6);
    StringBuilder text = new StringBuilder();
    while (text.length() < 200_000) {
      String[] world = worlds[random.nextInt(worlds.length)];
      String[] a = world[1].split(" ", -1);
      String[] b = world[2].split(" ", -1);
      text.append(
          world[0].formatted(a[random.nextInt(a.length)], b[random.nextInt(b.length)]));
    }
    return text.toString();
  }

  public static void main(String[] args) throws java.io.IOException {
    OneFileMoe model = new OneFileMoe(text(args));
    model.train(STEPS);
    model.describe();
    System.out.println("\nIt writes: " + model.continued("the fish swims in ", 120));
  }
}
