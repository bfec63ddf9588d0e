//! Object stores of three clouds and a local directory behind one trait, and the transfer of model versions.
