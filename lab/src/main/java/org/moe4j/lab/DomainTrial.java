package org.moe4j.lab;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.lab.DomainArm.Quantities;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderLoss;
import org.moe4j.models.DomainExperts;
import org.moe4j.models.DomainMixture;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.AdamW;
import org.moe4j.train.LearningRate;
import org.moe4j.train.config.TrainSection;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;
import org.moe4j.train.report.LayerRouting;
import org.moe4j.train.report.RoutingTable;

/** The training of one small model on labelled domains, and what can be done with it then. */
final class DomainTrial implements Trial {
  /** Steps on the new domain, of every run: what a model learns later is not the longer part. */
  private static final int ADAPTATION = 120;

  private final TrainingConfig config;
  private final DomainCorpus corpus;
  private final Device device;
  private final long seed;
  private final Decoder model;
  private final AdamW optimiser;
  private final LearningRate schedule;
  private final List<Sampler> samplers;
  private final RandomSource noise;
  private final DomainReader reader;
  private final TrialLog log = new TrialLog();
  private long step;

  /** The seed decides the start and the order of the text. */
  DomainTrial(TrainingConfig config, DomainCorpus corpus, Bench bench, long seed) {
    this.config = config;
    this.corpus = corpus;
    this.device = bench.device();
    this.seed = seed;
    model =
        new Decoder(
            DomainArm.plan(config, corpus), new ParameterStore(new RandomSource(seed), device));
    optimiser = optimiser(model);
    schedule = LearningRate.of(config.train());
    int each = config.train().batchSize() / DomainCorpus.KNOWN;
    samplers = corpus.known().stream().map(part -> sampler(part, each)).toList();
    noise = new RandomSource(seed + 1);
    reader = new DomainReader(config, bench);
  }

  private AdamW optimiser(Decoder of) {
    TrainSection train = config.train();
    return new AdamW(
        of.parameters().all(),
        new AdamW.Options(train.beta1(), train.beta2(), train.eps(), train.weightDecay()));
  }

  private Sampler sampler(DomainCorpus.Part part, int sequences) {
    return new Sampler(
        part.train(), sequences, config.data().sequenceLength(), SamplerState.start(seed));
  }

  @Override
  public double step() {
    long begin = System.nanoTime();
    step++;
    // Each domain has the same share of every batch, as much text as it may have (section 3).
    List<Batch> batches = samplers.stream().map(Sampler::next).toList();
    int[] domains = IntStream.range(0, batches.size()).toArray();
    double loss = update(model, optimiser, batches, domains, schedule.at(step));
    log.add(loss, List.of(), (System.nanoTime() - begin) * 1e-9);
    return loss;
  }

  /** One step on batches, each of a domain. */
  private double update(Decoder of, AdamW by, List<Batch> batches, int[] domains, double rate) {
    int length = batches.getFirst().length();
    int sequences = batches.stream().mapToInt(Batch::sequences).sum();
    long[] labels =
        IntStream.range(0, domains.length)
            .boxed()
            .flatMapToLong(i -> Arrays.stream(batches.get(i).inputs()).map(token -> domains[i]))
            .toArray();
    try (Scope scope = Scope.open()) {
      Tensor ids = tensor(batches.stream().map(Batch::inputs).toList(), length);
      Tensor targets = tensor(batches.stream().map(Batch::targets).toList(), length);
      TokenContext context =
          TokenContext.train(sequences, length, noise)
              .withDomains(Tensor.of(labels, sequences, length).to(device));
      DecoderLoss loss = of.loss(ids, targets, context);
      loss.total().backward();
      by.update(rate, 1);
      of.parameters().all().forEach(p -> p.tensor().clearGrad());
      return loss.crossEntropy().item();
    }
  }

  private Tensor tensor(List<long[]> parts, int length) {
    long[] all = parts.stream().flatMapToLong(Arrays::stream).toArray();
    return Tensor.of(all, all.length / length, length).to(device);
  }

  @Override
  public Measurement finish() {
    Map<String, Double> values = new HashMap<>(log.values());
    boolean modular = DomainMixture.serves(model);
    double[] labelled = labelled(model);
    double[] unlabelled = labelled;
    double newer = reader.labelled(model, corpus.later(), 0);
    double single = newer;
    double removed = 0;
    double others = 0;
    Optional<RoutingTable> picture = Optional.empty();
    if (modular) {
      List<DomainReader.Mixed> mixed =
          corpus.known().stream().map(part -> reader.mixed(model, part)).toList();
      unlabelled = mixed.stream().mapToDouble(DomainReader.Mixed::nats).toArray();
      int last = DomainCorpus.KNOWN - 1;
      try (Decoder less = DomainExperts.remove(model, last)) {
        for (int d = 0; d <= last; d++) {
          double rise = reader.mixed(less, corpus.known().get(d)).nats() - unlabelled[d];
          removed += d == last ? rise : 0;
          others += d == last ? 0 : rise / last;
        }
      }
      // Last of all, for the prior that this leaves says whom the new expert is a copy of.
      DomainReader.Mixed unknown = reader.mixed(model, corpus.later());
      newer = unknown.nats();
      for (int j = 1; j <= last; j++) {
        single = Math.min(single, reader.labelled(model, corpus.later(), j));
      }
      picture = Optional.of(picture(mixed, unknown));
    }
    try (Decoder adapted = adapted(modular)) {
      double learned =
          modular
              ? reader.mixed(adapted, corpus.later()).nats()
              : reader.labelled(adapted, corpus.later(), 0);
      double[] after = labelled(adapted);
      double[] all = Arrays.copyOf(after, after.length + 1);
      all[after.length] = learned;
      values.put(Quantities.ADAPTED.key(), Math.exp(learned));
      values.put(Quantities.ALL.key(), perplexity(all));
      values.put(Quantities.FORGOTTEN.key(), mean(after) - mean(labelled));
    }
    values.put(Quantities.LABELLED.key(), perplexity(labelled));
    values.put(Quantities.UNLABELLED.key(), perplexity(unlabelled));
    values.put(Quantities.NEW.key(), Math.exp(newer));
    values.put(Quantities.MIXING.key(), single - newer);
    values.put(Quantities.REMOVED.key(), removed);
    values.put(Quantities.OTHERS.key(), others);
    return new Measurement(values, log.curves(), picture, log.seconds());
  }

  /** Nats of a token of each known domain. */
  private double[] labelled(Decoder of) {
    return IntStream.range(0, DomainCorpus.KNOWN)
        .mapToDouble(d -> reader.labelled(of, corpus.known().get(d), d))
        .toArray();
  }

  private static double mean(double... values) {
    return Arrays.stream(values).average().orElse(Double.NaN);
  }

  /** As the paper has it: the mean of the domains' perplexities. */
  private static double perplexity(double... nats) {
    return mean(Arrays.stream(nats).map(Math::exp).toArray());
  }

  /**
   * A model that has learned the new domain too: with a new expert that alone was trained, or,
   * where there are none, all of a copy.
   */
  private Decoder adapted(boolean modular) {
    int domain = modular ? DomainCorpus.KNOWN : 0;
    Decoder next = modular ? DomainExperts.add(model, likeliest()) : copy();
    if (modular) {
      DomainExperts.trainOnly(next, domain);
    }
    Sampler sampler = sampler(corpus.later(), config.train().batchSize());
    double peak = schedule.peak();
    LearningRate rate = new LearningRate(peak, 0.1 * peak, ADAPTATION / 10, ADAPTATION);
    try (AdamW fresh = optimiser(next)) {
      for (int i = 1; i <= ADAPTATION; i++) {
        update(next, fresh, List.of(sampler.next()), new int[] {domain}, rate.at(i));
      }
    }
    return next;
  }

  private int likeliest() {
    double[] prior = new DomainMixture(model).prior();
    return IntStream.range(0, prior.length)
        .reduce((a, b) -> prior[b] > prior[a] ? b : a)
        .orElseThrow();
  }

  private Decoder copy() {
    ParameterStore store = new ParameterStore(new RandomSource(0), device);
    Decoder made = new Decoder(model.config(), store);
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      for (Parameter p : store.all()) {
        p.tensor().copyInPlace(model.parameters().named(p.name()).tensor());
      }
    }
    return made;
  }

  /** The experts' weights in the mixture as if they were choices: each domain by its experts. */
  private RoutingTable picture(List<DomainReader.Mixed> known, DomainReader.Mixed unknown) {
    List<DomainReader.Mixed> rows = new ArrayList<>(known);
    rows.add(unknown);
    List<String> names = new ArrayList<>(corpus.known().stream().map(p -> p.name()).toList());
    names.add(corpus.later().name() + " (new)");
    long[] sizes = new long[rows.size()];
    Arrays.fill(sizes, reader.tokens());
    double[][] counts = new double[rows.size()][DomainCorpus.KNOWN];
    double[] load = new double[DomainCorpus.KNOWN];
    for (int d = 0; d < counts.length; d++) {
      for (int j = 0; j < load.length; j++) {
        counts[d][j] = rows.get(d).weights()[j] * reader.tokens();
        load[j] += counts[d][j];
      }
    }
    return new RoutingTable(
        Arrays.stream(sizes).sum(),
        names,
        sizes,
        List.of(new LayerRouting(0, counts, load, 0, List.of())));
  }

  @Override
  public void close() {
    optimiser.close();
    model.close();
  }
}
