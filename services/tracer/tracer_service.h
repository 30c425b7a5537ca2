// flightrec.capture.v1 on the wire: translates requests for the recorder and its answers back, and
// holds no logic. Thread-safe. The server has checked the caller's control token before a method
// runs.

#ifndef SERVICES_TRACER_TRACER_SERVICE_H_
#define SERVICES_TRACER_TRACER_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "flightrec/capture/v1/capture.grpc.pb.h"
#include "services/tracer/host/process_list.h"
#include "services/tracer/recorder/recorder.h"

namespace flightrec::tracer {

class TracerService final : public capture::v1::CaptureService::Service {
 public:
  // `recorder` and `processes` outlive the service.
  TracerService(Recorder* recorder, host::ProcessList* processes, lane::LaneLimits default_limits);

  grpc::Status PlanProbes(grpc::ServerContext* context,
                          const capture::v1::PlanProbesRequest* request,
                          capture::v1::PlanProbesResponse* response) override;
  grpc::Status Launch(grpc::ServerContext* context, const capture::v1::LaunchRequest* request,
                      capture::v1::LaunchResponse* response) override;
  grpc::Status Attach(grpc::ServerContext* context, const capture::v1::AttachRequest* request,
                      capture::v1::AttachResponse* response) override;
  grpc::Status UpdateProbes(grpc::ServerContext* context,
                            const capture::v1::UpdateProbesRequest* request,
                            capture::v1::UpdateProbesResponse* response) override;
  grpc::Status SetTriggers(grpc::ServerContext* context,
                           const capture::v1::SetTriggersRequest* request,
                           capture::v1::SetTriggersResponse* response) override;
  grpc::Status TakeSnapshot(grpc::ServerContext* context,
                            const capture::v1::TakeSnapshotRequest* request,
                            capture::v1::TakeSnapshotResponse* response) override;
  grpc::Status StopRecording(grpc::ServerContext* context,
                             const capture::v1::StopRecordingRequest* request,
                             capture::v1::StopRecordingResponse* response) override;
  grpc::Status ListProcesses(grpc::ServerContext* context,
                             const capture::v1::ListProcessesRequest* request,
                             capture::v1::ListProcessesResponse* response) override;
  grpc::Status ListCaptures(grpc::ServerContext* context,
                            const capture::v1::ListCapturesRequest* request,
                            capture::v1::ListCapturesResponse* response) override;
  grpc::Status WatchRecording(
      grpc::ServerContext* context, const capture::v1::WatchRecordingRequest* request,
      grpc::ServerWriter<capture::v1::WatchRecordingResponse>* writer) override;

 private:
  Recorder* const recorder_;
  host::ProcessList* const processes_;
  const lane::LaneLimits default_limits_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_TRACER_SERVICE_H_
