package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.gguf.Dequantise;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Attention;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Workers;

/**
 * Takes steps of tokens through a model. Every number of a token is computed from that token and
 * its own sequence in an order that depends on nothing else, so its logits are the same bits
 * whatever shares the step and however a prompt is cut. Not for several threads at once.
 */
public final class Forward {
  private final Weights model;
  private final Shape shape;
  private final Workers workers;
  private final Rotary rotary;
  private final Activations input;
  private final Activations attended;
  private final Activations hidden;
  private final Routing routing;
  private final float[][] scratch;
  private final float[][] scratch2;
  private final float[][] scores;
  private Cache[] caches = {};
  private int[] positions = {};
  private float[] x = {};
  private float[] q = {};
  private float[] k = {};
  private float[] v = {};
  private float[] mixed = {};
  private float[] down = {};
  private int[] rows = {};

  /** Steps through {@code model} on {@code workers}. */
  public Forward(Weights model, Workers workers) {
    this.model = model;
    this.shape = model.shape();
    this.workers = workers;
    this.rotary = new Rotary(shape, model.frequencies());
    this.input = new Activations(shape.width());
    this.attended = new Activations(shape.queryWidth());
    this.hidden = new Activations(shape.hidden());
    int experts = Math.max(1, shape.experts());
    this.routing =
        new Routing(experts, Math.max(1, shape.used()), shape.architecture().normalised());
    this.scratch = new float[workers.count()][];
    this.scratch2 = new float[workers.count()][];
    this.scores = new float[workers.count()][0];
  }

  private int slotsOfAToken() {
    return Math.max(1, shape.used());
  }

  private void reserve(int n) {
    if (positions.length < n) {
      caches = new Cache[n];
      positions = new int[n];
      rows = IntStream.range(0, n * slotsOfAToken()).toArray();
      x = new float[n * shape.width()];
      q = new float[n * shape.queryWidth()];
      k = new float[n * shape.keyWidth()];
      v = new float[n * shape.keyWidth()];
      mixed = new float[n * Math.max(shape.width(), shape.experts())];
      down = new float[n * slotsOfAToken() * shape.width()];
      input.reserve(n);
      attended.reserve(n);
      hidden.reserve(n * slotsOfAToken());
      routing.reserve(n);
      for (int w = 0; w < workers.count(); w++) {
        scratch[w] = new float[n * Matrix.PANEL];
        scratch2[w] = new float[n * Matrix.PANEL];
      }
    }
  }

  /**
   * Puts a step's tokens behind their caches.
   *
   * @return the logits that were wanted, in the order of the step's tokens
   */
  public float[][] run(Step step) {
    int n = step.tokens();
    reserve(n);
    embed(step);
    for (int i = 0; i < shape.layers(); i++) {
      Layer layer = model.layers().get(i);
      attend(i, layer, n);
      feedForward(layer, n);
    }
    return logits(step);
  }

  private void embed(Step step) {
    int at = 0;
    for (Step.Piece piece : step.pieces()) {
      int from = piece.cache().length();
      piece.cache().grow(from + piece.tokens().length);
      for (int i = 0; i < piece.tokens().length; i++) {
        caches[at] = piece.cache();
        positions[at] = from + i;
        Dequantise.row(
            model.embedding().type(),
            model.embedding().data(),
            piece.tokens()[i] * model.embedding().rowBytes(),
            shape.width(),
            x,
            at * shape.width());
        at++;
      }
    }
    rotary.prepare(positions, at);
  }

  private void each(int n, Workers.Job job) {
    if (n < 4) {
      for (int i = 0; i < n; i++) {
        job.run(i, 0);
      }
    } else {
      workers.run(n, job);
    }
  }

  private void normalised(int n, float[] scales) {
    each(
        n,
        (t, worker) -> {
          Norm.rms(x, t * shape.width(), scales, shape.epsilon(), input.values(), input.at(t));
          input.quantise(t);
        });
  }

  private void attend(int index, Layer layer, int n) {
    normalised(n, layer.attentionNorm());
    multiply(input, n, List.of(layer.query(), layer.key(), layer.value()), List.of(q, k, v));
    each(
        n,
        (t, worker) -> {
          headNorm(q, t * shape.queryWidth(), shape.queryWidth(), layer.queryNorm());
          headNorm(k, t * shape.keyWidth(), shape.keyWidth(), layer.keyNorm());
          rotary.turn(q, t * shape.queryWidth(), shape.heads(), t);
          rotary.turn(k, t * shape.keyWidth(), shape.keyHeads(), t);
        });
    for (int t = 0; t < n; t++) {
      caches[t].store(index, positions[t], k, v, t * shape.keyWidth());
    }
    int group = shape.heads() / shape.keyHeads();
    workers.run(
        n * shape.heads(),
        (job, worker) -> {
          int t = job / shape.heads();
          int head = job % shape.heads();
          attend(index, t, head, head / group, worker);
        });
    each(n, (t, worker) -> attended.quantise(t));
    multiply(attended, n, List.of(layer.output()), List.of(mixed));
    for (int i = 0; i < n * shape.width(); i++) {
      x[i] += mixed[i];
    }
  }

  private void headNorm(float[] rows, int at, int width, float[] scales) {
    for (int i = 0; scales.length > 0 && i < width; i += scales.length) {
      Norm.rms(rows, at + i, scales, shape.epsilon(), rows, at + i);
    }
  }

  private void attend(int layer, int t, int head, int keyHead, int worker) {
    Cache cache = caches[t];
    int count = positions[t] + 1;
    int pages = Math.ceilDiv(count, Attention.PAGE);
    int half = cache.half();
    int needed = pages * Attention.PAGE + 2 * half;
    if (scores[worker].length < needed) {
      scores[worker] = new float[needed * 2];
    }
    float[] s = scores[worker];
    for (int page = 0; page < pages; page++) {
      Attention.scores(
          cache.keys(layer, page),
          keyHead * cache.keyInts(),
          q,
          t * shape.queryWidth() + head * shape.headSize(),
          shape.headSize(),
          s,
          page * Attention.PAGE);
    }
    float scale = (float) (1 / Math.sqrt(shape.headSize()));
    float sum = Attention.exponentials(s, count, scale);
    int out = pages * Attention.PAGE;
    Arrays.fill(s, out, out + 2 * half, 0f);
    for (int page = 0; page < pages; page++) {
      Attention.values(
          cache.values(layer, page),
          keyHead * half,
          cache.valueStride(),
          half,
          s,
          page * Attention.PAGE,
          Math.min(Attention.PAGE, count - page * Attention.PAGE),
          s,
          out);
    }
    int to = attended.at(t) + head * shape.headSize();
    for (int d = 0; d < shape.headSize(); d++) {
      attended.values()[to + d] = s[out + d] / sum;
    }
  }

  /** Products of several matrices with the first {@code n} rows of {@code from}. */
  private void multiply(Activations from, int n, List<Matrix> matrices, List<float[]> to) {
    int panels = 0;
    for (Matrix m : matrices) {
      panels += m.panels();
    }
    workers.run(
        panels,
        (job, worker) -> {
          int which = 0;
          int panel = job;
          while (panel >= matrices.get(which).panels()) {
            panel -= matrices.get(which++).panels();
          }
          Matrix m = matrices.get(which);
          m.multiply(panel, from, rows, 0, n, scratch[worker]);
          scatter(scratch[worker], n, m, panel, to.get(which), 0);
        });
  }

  private static void scatter(float[] from, int n, Matrix m, int panel, float[] to, int first) {
    int at = panel * Matrix.PANEL;
    int width = Math.min(Matrix.PANEL, m.rows() - at);
    for (int i = 0; i < n; i++) {
      System.arraycopy(from, i * Matrix.PANEL, to, (first + i) * m.rows() + at, width);
    }
  }

  private void feedForward(Layer layer, int n) {
    normalised(n, layer.forwardNorm());
    if (layer.router().isEmpty()) {
      routing.all(n);
    } else {
      multiply(input, n, layer.router(), List.of(mixed));
      for (int t = 0; t < n; t++) {
        routing.choose(t, mixed, t * shape.experts());
      }
    }
    routing.sort(n);
    int[] busy = busy(layer.experts().size());
    int panels = layer.experts().getFirst().gate().panels();
    workers.run(
        busy.length * panels,
        (job, worker) -> gateUp(layer, busy[job / panels], job % panels, worker));
    each(n * slotsOfAToken(), (slot, worker) -> hidden.quantise(slot));
    int downPanels = layer.experts().getFirst().down().panels();
    workers.run(
        busy.length * downPanels,
        (job, worker) -> {
          int e = busy[job / downPanels];
          Matrix m = layer.experts().get(e).down();
          int from = routing.start(e);
          int count = routing.start(e + 1) - from;
          m.multiply(job % downPanels, hidden, rows, from, count, scratch[worker]);
          scatter(scratch[worker], count, m, job % downPanels, down, from);
        });
    each(n, (t, worker) -> combine(t));
  }

  /** Experts that got tokens. */
  private int[] busy(int experts) {
    return IntStream.range(0, experts)
        .filter(e -> routing.start(e + 1) > routing.start(e))
        .toArray();
  }

  private void gateUp(Layer layer, int e, int panel, int worker) {
    Layer.Expert expert = layer.experts().get(e);
    int from = routing.start(e);
    int count = routing.start(e + 1) - from;
    float[] gate = scratch[worker];
    float[] up = scratch2[worker];
    expert.gate().multiply(panel, input, routing.tokens(), from, count, gate);
    expert.up().multiply(panel, input, routing.tokens(), from, count, up);
    Attention.swiglu(gate, 0, up, 0, count * Matrix.PANEL);
    int at = panel * Matrix.PANEL;
    int width = Math.min(Matrix.PANEL, shape.hidden() - at);
    for (int i = 0; i < count; i++) {
      int to = hidden.at(from + i) + at;
      System.arraycopy(gate, i * Matrix.PANEL, hidden.values(), to, width);
    }
  }

  /** Adds a token's weighted experts in the order of its choices. */
  private void combine(int t) {
    int width = shape.width();
    for (int i = 0; i < slotsOfAToken(); i++) {
      float weight = routing.weight(t, i);
      int from = routing.place(t, i) * width;
      for (int d = 0; d < width; d++) {
        mixed[t * width + d] = (i == 0 ? 0 : mixed[t * width + d]) + weight * down[from + d];
      }
    }
    for (int d = 0; d < width; d++) {
      x[t * width + d] += mixed[t * width + d];
    }
  }

  private float[][] logits(Step step) {
    int wanted = 0;
    int at = 0;
    for (Step.Piece piece : step.pieces()) {
      for (int i = 0; i < piece.tokens().length; i++, at++) {
        if (piece.every() || i == piece.tokens().length - 1) {
          int to = input.at(wanted);
          Norm.rms(x, at * shape.width(), model.norm(), shape.epsilon(), input.values(), to);
          input.quantise(wanted++);
        }
      }
    }
    float[] all = new float[Math.multiplyExact(wanted, shape.vocabulary())];
    multiply(input, wanted, List.of(model.output()), List.of(all));
    float[][] logits = new float[wanted][];
    for (int i = 0; i < wanted; i++) {
      logits[i] = Arrays.copyOfRange(all, i * shape.vocabulary(), (i + 1) * shape.vocabulary());
    }
    return logits;
  }
}
