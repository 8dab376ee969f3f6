package org.moe4j.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.RoutingStats;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderLoss;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.config.Precision;
import org.moe4j.train.config.TrainSection;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.ValidationSet;

/**
 * Trains a decoder: batches, loss with balance losses, backward, clipping by global norm, AdamW.
 * What a step does depends on the parameters and the trainer's state alone, so a trainer that is
 * saved and restored goes on as if nothing had happened.
 */
public final class Trainer implements AutoCloseable {
  /** So many steps in a row without a finite loss and gradient, and the run is given up. */
  private static final int MOST_SKIPPED = 5;

  private final Decoder model;
  private final Collection<Parameter> parameters;
  private final TrainSection settings;
  private final LearningRate schedule;
  private final Sampler sampler;
  private final RandomSource noise;
  private final AdamW optimiser;
  private long step;
  private int skippedInARow;
  private long skipped;

  /**
   * A trainer before its first step. The model stays the caller's.
   *
   * @param sampler gives batches of {@code settings.batchSize()} sequences
   * @param noise for routers and dropout
   */
  public Trainer(Decoder model, TrainSection settings, Sampler sampler, RandomSource noise) {
    this.model =
        model.withPrecision(settings.precision() == Precision.BF16 ? DType.BF16 : DType.F32);
    this.parameters = model.parameters().all();
    this.settings = settings;
    this.schedule = LearningRate.of(settings);
    this.sampler = sampler;
    this.noise = noise;
    this.optimiser =
        new AdamW(
            parameters,
            new AdamW.Options(
                settings.beta1(), settings.beta2(), settings.eps(), settings.weightDecay()));
  }

  /**
   * The next step: {@code accumulate} batches make one update. The loss is the mean over them, and
   * so are the gradients. Without balance losses this is exactly one large batch; those average
   * over each batch alone.
   *
   * @throws MoeException if loss or gradients were not finite several times in a row
   */
  public StepResult step() {
    long begin = System.nanoTime();
    step++;
    int batches = settings.accumulate();
    double loss = 0;
    long tokens = 0;
    Map<String, Double> balance = new LinkedHashMap<>();
    List<RoutingStats> routing = new ArrayList<>();
    for (int i = 0; i < batches; i++) {
      Batch batch = sampler.next();
      tokens += batch.scored();
      loss += accumulate(batch, balance, routing) / batches;
    }
    balance.replaceAll((name, sum) -> sum / batches);
    double norm = Gradients.norm(parameters) / batches;
    boolean finite = Double.isFinite(loss) && Double.isFinite(norm);
    double rate = schedule.at(step);
    if (finite) {
      double excess = settings.clip() > 0 ? Math.max(1, norm / settings.clip()) : 1;
      optimiser.update(rate, batches * excess);
      control(routing);
    }
    Gradients.clear(parameters);
    count(finite);
    double seconds = (System.nanoTime() - begin) * 1e-9;
    return new StepResult(
        step,
        loss,
        Map.copyOf(balance),
        rate,
        norm,
        !finite,
        tokens,
        seconds,
        List.copyOf(routing));
  }

  /** Tells the controllers of each sparse layer what its routing was in this step. */
  private void control(List<RoutingStats> routing) {
    List<MoeLayer> layers = model.blocks().stream().flatMap(b -> b.moe().stream()).toList();
    for (int i = 0; i < routing.size(); i++) {
      RoutingStats stats = routing.get(i);
      layers.get(i).controllers().forEach(c -> c.update(stats));
    }
  }

  /** Forward and backward over one batch, whose memory is then free but for the gradients. */
  private double accumulate(Batch batch, Map<String, Double> balance, List<RoutingStats> routing) {
    try (Scope scope = Scope.open()) {
      DecoderLoss loss = loss(batch, TokenContext.train(batch.sequences(), batch.length(), noise));
      loss.total().backward();
      loss.output().layers().stream()
          .flatMap(layer -> layer.losses().entrySet().stream())
          .forEach(e -> balance.merge(e.getKey(), e.getValue().item(), Double::sum));
      List<RoutingStats> stats =
          loss.output().layers().stream().map(layer -> layer.stats()).toList();
      for (int i = 0; i < stats.size(); i++) {
        if (i == routing.size()) {
          routing.add(stats.get(i));
        } else {
          routing.set(i, routing.get(i).plus(stats.get(i)));
        }
      }
      return loss.crossEntropy().item();
    }
  }

  private DecoderLoss loss(Batch batch, TokenContext context) {
    long b = batch.sequences();
    long s = batch.length();
    Tensor ids = Tensor.of(batch.inputs(), b, s).to(model.parameters().device());
    Tensor targets = Tensor.of(batch.targets(), b, s).to(model.parameters().device());
    long[] domains = Arrays.stream(batch.domains()).asLongStream().toArray();
    Tensor domain = Tensor.of(domains, b, s).to(model.parameters().device());
    Tensor texts = Tensor.of(batch.texts(), b, s).to(model.parameters().device());
    return model.loss(ids, targets, context.withDomains(domain).withSequenceIndex(texts));
  }

  private void count(boolean finite) {
    skipped += finite ? 0 : 1;
    skippedInARow = finite ? 0 : skippedInARow + 1;
    if (skippedInARow >= MOST_SKIPPED) {
      throw new MoeException(
          "training diverged: loss or gradients were not finite in the last "
              + MOST_SKIPPED
              + " steps up to step "
              + step
              + "; lower train.learning-rate and resume from the"
              + " last checkpoint, or start again");
    }
  }

  /**
   * A loss on held-out text.
   *
   * @param loss mean cross-entropy in nats per token
   * @param bitsPerByte of the text
   */
  public record Validation(double loss, double bitsPerByte) {}

  /** Scores the whole of {@code set}; nothing is trained. */
  public Validation validate(ValidationSet set) {
    double nats = 0;
    for (int i = 0; i < set.batches(); i++) {
      Batch batch = set.batch(i);
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        DecoderLoss loss = loss(batch, TokenContext.eval(batch.sequences(), batch.length()));
        nats += loss.crossEntropy().item() * batch.scored();
      }
    }
    return new Validation(nats / set.targets(), set.bitsPerByte(nats));
  }

  /** The steps done. */
  public long steps() {
    return step;
  }

  /** The steps among them that updated nothing. */
  public long skipped() {
    return skipped;
  }

  /** The model in the precision of training. */
  public Decoder model() {
    return model;
  }

  /** What a checkpoint keeps beside the parameters and the optimiser's state. */
  TrainerState state() {
    return new TrainerState(step, skipped, skippedInARow, sampler.state(), noise.state());
  }

  AdamW optimiser() {
    return optimiser;
  }

  /** Goes on behind {@code state}; the sampler was made from it. */
  void restore(TrainerState state) {
    step = state.step();
    skipped = state.skipped();
    skippedInARow = state.skippedInARow();
    noise.restore(state.noise());
  }

  /** Frees the optimiser's state; the model stays. */
  @Override
  public void close() {
    optimiser.close();
  }
}
