package org.moe4j;

import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Predicate;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * The parameters of a model, by name, in the order they were made. Building blocks receive a store
 * and create what they need in it; {@link #under} gives a part of the model its own name space.
 */
public final class ParameterStore implements AutoCloseable {
  private final Map<String, Parameter> parameters;
  private final String prefix;
  private final RandomSource random;
  private final Device device;
  private final DType dtype;
  private final boolean initialise;

  private ParameterStore(
      Map<String, Parameter> parameters,
      String prefix,
      RandomSource random,
      Device device,
      DType dtype,
      boolean initialise) {
    this.parameters = parameters;
    this.prefix = prefix;
    this.random = random;
    this.device = device;
    this.dtype = dtype;
    this.initialise = initialise;
  }

  /** An empty store whose parameters start from {@code random} and live on {@code device}. */
  public ParameterStore(RandomSource random, Device device) {
    this(random, device, DType.F32);
  }

  /** An empty store of parameters of type {@code dtype}; F64 is for checks against theory. */
  public ParameterStore(RandomSource random, Device device, DType dtype) {
    this(new LinkedHashMap<>(), "", random, device, dtype, true);
  }

  /**
   * An empty store whose parameters are memory as it was found: for whoever fills every one of them
   * next, as from a checkpoint. State has its first value.
   */
  public static ParameterStore uninitialised(Device device, DType dtype) {
    return new ParameterStore(new LinkedHashMap<>(), "", new RandomSource(0), device, dtype, false);
  }

  /**
   * An empty store of shapes alone: parameters and state have a type and sizes and no memory, so
   * that a model of any size can be made to be looked at. It cannot compute.
   */
  public static ParameterStore shapes(DType dtype) {
    return uninitialised(Device.META, dtype);
  }

  /** An empty store on the CPU. */
  public ParameterStore(long seed) {
    this(new RandomSource(seed), Device.CPU);
  }

  /** This store seen from {@code part}: names get {@code part.} in front. */
  public ParameterStore under(String part) {
    return new ParameterStore(parameters, prefix + part + ".", random, device, dtype, initialise);
  }

  /** This store, making parameters in F32 where it would make narrower ones. */
  public ParameterStore wide() {
    DType wide = dtype == DType.F64 ? DType.F64 : DType.F32;
    return new ParameterStore(parameters, prefix, random, device, wide, initialise);
  }

  /** Makes a parameter of the store's type. */
  public Parameter create(String name, Role role, Init init, long... shape) {
    String full = prefix + name;
    if (parameters.containsKey(full)) {
      throw new IllegalStateException("parameter " + full + " was made twice");
    }
    try (Scope scope = Scope.open()) {
      Tensor start =
          initialise
              ? init.make(random, shape).to(dtype).to(device)
              : Tensor.empty(dtype, device, shape);
      Parameter p = new Parameter(full, role, start);
      parameters.put(full, p);
      return p;
    }
  }

  /**
   * Keeps state that no gradient trains: saved with the model in the type of {@code initial}.
   *
   * @param initial its first value, of any type
   */
  public Parameter state(String name, int layer, Tensor initial) {
    String full = prefix + name;
    if (parameters.containsKey(full)) {
      throw new IllegalStateException("parameter " + full + " was made twice");
    }
    Parameter p = new Parameter(full, new Role.State(layer), initial.detach().to(device).copy());
    parameters.put(full, p);
    return p;
  }

  /**
   * The parameter {@code name} of the whole model, whatever part this store is seen from: made at
   * the first call, then shared by all layers that ask for it (S10's embedding, S55's cell).
   *
   * @throws MoeException if an earlier layer made it with another shape
   */
  public Parameter shared(String name, Role role, Init init, long... shape) {
    Parameter made = parameters.get(name);
    if (made == null) {
      return whole().create(name, role, init, shape);
    }
    if (!Arrays.equals(made.tensor().shape(), shape)) {
      throw new MoeException(
          "parameter "
              + name
              + " is shared by all layers; it is "
              + made
              + ", and a layer asks for "
              + Arrays.toString(shape));
    }
    return made;
  }

  /**
   * The state {@code name} of the whole model, whatever part this store is seen from: kept from the
   * first call on, then shared by all layers that ask for it.
   */
  public Parameter sharedState(String name, int layer, Tensor initial) {
    Parameter made = parameters.get(name);
    return made != null ? made : whole().state(name, layer, initial);
  }

  private ParameterStore whole() {
    return new ParameterStore(parameters, "", random, device, dtype, initialise);
  }

  /** All parameters and state of the whole store, in order. */
  public Collection<Parameter> all() {
    return Collections.unmodifiableCollection(parameters.values());
  }

  /**
   * The parameter with this full name.
   *
   * @throws MoeException if there is none
   */
  public Parameter named(String name) {
    Parameter p = parameters.get(name);
    if (p == null) {
      throw new MoeException("the model has no parameter " + name);
    }
    return p;
  }

  /** The number of elements of the parameters that {@code which} accepts; state never counts. */
  public long count(Predicate<Parameter> which) {
    return all().stream()
        .filter(p -> !(p.role() instanceof Role.State))
        .filter(which)
        .mapToLong(p -> p.tensor().numel())
        .sum();
  }

  /** The device the parameters live on. */
  public Device device() {
    return device;
  }

  /** The type the parameters are made in. */
  public DType dtype() {
    return dtype;
  }

  /** Frees all parameters. */
  @Override
  public void close() {
    parameters.values().forEach(Parameter::close);
    parameters.clear();
  }
}
